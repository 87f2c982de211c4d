//! The tables of a store: Optuna's schema 12, so that its tools read a study, and our own log beside it.

use rusqlite::{Connection, TransactionBehavior};

use super::error::StoreError;

/// Version of Optuna's schema.
const SCHEMA: i64 = 12;
/// Head of Optuna's migrations for that schema.
const HEAD: &str = "v3.2.0.a";
/// Version of our own tables.
pub const LOG_VERSION: i64 = 1;

/// Optuna's thirteen tables with their indices, as its schema 12 has them, and our two.
const TABLES: &str = r#"
CREATE TABLE studies (study_id INTEGER NOT NULL, study_name VARCHAR(512) NOT NULL, PRIMARY KEY (study_id));
CREATE UNIQUE INDEX ix_studies_study_name ON studies (study_name);
CREATE TABLE version_info (version_info_id INTEGER NOT NULL, schema_version INTEGER, library_version VARCHAR(256),
  PRIMARY KEY (version_info_id), CHECK (version_info_id=1));
CREATE TABLE study_directions (study_direction_id INTEGER NOT NULL, direction VARCHAR(8) NOT NULL, study_id INTEGER NOT NULL,
  objective INTEGER NOT NULL, PRIMARY KEY (study_direction_id), UNIQUE (study_id, objective),
  FOREIGN KEY(study_id) REFERENCES studies (study_id));
CREATE TABLE study_user_attributes (study_user_attribute_id INTEGER NOT NULL, study_id INTEGER, "key" VARCHAR(512),
  value_json TEXT, PRIMARY KEY (study_user_attribute_id), UNIQUE (study_id, "key"),
  FOREIGN KEY(study_id) REFERENCES studies (study_id));
CREATE TABLE study_system_attributes (study_system_attribute_id INTEGER NOT NULL, study_id INTEGER, "key" VARCHAR(512),
  value_json TEXT, PRIMARY KEY (study_system_attribute_id), UNIQUE (study_id, "key"),
  FOREIGN KEY(study_id) REFERENCES studies (study_id));
CREATE TABLE trials (trial_id INTEGER NOT NULL, number INTEGER, study_id INTEGER, state VARCHAR(8) NOT NULL,
  datetime_start DATETIME, datetime_complete DATETIME, PRIMARY KEY (trial_id),
  FOREIGN KEY(study_id) REFERENCES studies (study_id));
CREATE INDEX ix_trials_study_id ON trials (study_id);
CREATE TABLE trial_user_attributes (trial_user_attribute_id INTEGER NOT NULL, trial_id INTEGER, "key" VARCHAR(512),
  value_json TEXT, PRIMARY KEY (trial_user_attribute_id), UNIQUE (trial_id, "key"),
  FOREIGN KEY(trial_id) REFERENCES trials (trial_id));
CREATE TABLE trial_system_attributes (trial_system_attribute_id INTEGER NOT NULL, trial_id INTEGER, "key" VARCHAR(512),
  value_json TEXT, PRIMARY KEY (trial_system_attribute_id), UNIQUE (trial_id, "key"),
  FOREIGN KEY(trial_id) REFERENCES trials (trial_id));
CREATE TABLE trial_params (param_id INTEGER NOT NULL, trial_id INTEGER, param_name VARCHAR(512), param_value FLOAT,
  distribution_json TEXT, PRIMARY KEY (param_id), UNIQUE (trial_id, param_name),
  FOREIGN KEY(trial_id) REFERENCES trials (trial_id));
CREATE TABLE trial_values (trial_value_id INTEGER NOT NULL, trial_id INTEGER NOT NULL, objective INTEGER NOT NULL,
  value FLOAT, value_type VARCHAR(7) NOT NULL, PRIMARY KEY (trial_value_id), UNIQUE (trial_id, objective),
  FOREIGN KEY(trial_id) REFERENCES trials (trial_id));
CREATE TABLE trial_intermediate_values (trial_intermediate_value_id INTEGER NOT NULL, trial_id INTEGER NOT NULL,
  step INTEGER NOT NULL, intermediate_value FLOAT, intermediate_value_type VARCHAR(7) NOT NULL,
  PRIMARY KEY (trial_intermediate_value_id), UNIQUE (trial_id, step),
  FOREIGN KEY(trial_id) REFERENCES trials (trial_id));
CREATE TABLE trial_heartbeats (trial_heartbeat_id INTEGER NOT NULL, trial_id INTEGER NOT NULL, heartbeat DATETIME NOT NULL,
  PRIMARY KEY (trial_heartbeat_id), UNIQUE (trial_id), FOREIGN KEY(trial_id) REFERENCES trials (trial_id));
CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL, CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num));
"#;

/// What each of our studies is, and its log. Who removes a study, whatever program it is, removes its log with it.
const OWN_TABLES: &str = r#"
CREATE TABLE lapidary_studies (study_id INTEGER NOT NULL PRIMARY KEY, version INTEGER NOT NULL, trials INTEGER,
  identity TEXT NOT NULL);
CREATE TABLE lapidary_log (study_id INTEGER NOT NULL, seq INTEGER NOT NULL, kind INTEGER NOT NULL, id INTEGER NOT NULL,
  trial_id INTEGER NOT NULL, at INTEGER NOT NULL, body TEXT NOT NULL, PRIMARY KEY (study_id, seq)) WITHOUT ROWID;
CREATE TRIGGER lapidary_forget AFTER DELETE ON studies BEGIN
  DELETE FROM lapidary_log WHERE study_id = OLD.study_id;
  DELETE FROM lapidary_studies WHERE study_id = OLD.study_id;
END;
"#;

/// Makes the tables in an empty file, or checks those of an existing one.
pub fn prepare(connection: &mut Connection) -> Result<(), StoreError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let tables: i64 =
        transaction.query_row("SELECT count(*) FROM sqlite_master", [], |row| row.get(0))?;
    if tables == 0 {
        transaction.execute_batch(TABLES)?;
        transaction.execute(
            "INSERT INTO version_info VALUES (1, ?1, ?2)",
            (SCHEMA, concat!("lapidary ", env!("CARGO_PKG_VERSION"))),
        )?;
        transaction.execute("INSERT INTO alembic_version VALUES (?1)", [HEAD])?;
    } else {
        check(&transaction)?;
    }
    // A file that Optuna made gets our tables beside its own.
    if !has_own_tables(&transaction)? {
        transaction.execute_batch(OWN_TABLES)?;
    }
    Ok(transaction.commit()?)
}

/// Refuses a file that is no store, or one of another version.
pub fn check(connection: &Connection) -> Result<(), StoreError> {
    if !has_table(connection, "version_info")? || !has_table(connection, "alembic_version")? {
        return Err(StoreError::NoStore);
    }
    let version = "SELECT (SELECT schema_version FROM version_info), (SELECT version_num FROM alembic_version)";
    let (schema, head): (Option<i64>, Option<String>) =
        connection.query_row(version, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
    if schema == Some(SCHEMA) && head.as_deref() == Some(HEAD) {
        return Ok(());
    }
    let found = schema.map_or("none".to_owned(), |n| n.to_string());
    Err(StoreError::Schema {
        found: format!("schema {found} ({})", head.unwrap_or_default()),
        wanted: format!("schema {SCHEMA} ({HEAD})"),
    })
}

/// Refuses a study whose log is of another version.
pub fn check_log(version: i64) -> Result<(), StoreError> {
    if version == LOG_VERSION {
        return Ok(());
    }
    Err(StoreError::Schema {
        found: format!("a log of version {version}"),
        wanted: format!("version {LOG_VERSION}"),
    })
}

/// Whether our tables are there.
pub fn has_own_tables(connection: &Connection) -> Result<bool, StoreError> {
    has_table(connection, "lapidary_log")
}

fn has_table(connection: &Connection, name: &str) -> Result<bool, StoreError> {
    Ok(connection
        .prepare("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?1")?
        .exists([name])?)
}
