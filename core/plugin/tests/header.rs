//! The C header says of every type what Rust says: a C program that includes it prints sizes, offsets and constants.

use std::fmt::Write;
use std::mem::offset_of;
use std::process::Command;

use lapidary_plugin::abi::{
    self, Answer, Buffer, Bytes, Descriptor, HostTable, OptimizerTable, SearcherTable, Status,
    Tensor,
};
use lapidary_plugin::note::{Content, Note, TARGET};

/// Lists what both sides print: C's expressions and Rust's values.
fn expected() -> Vec<(String, usize)> {
    let mut all = Vec::new();
    macro_rules! layout {
        ($c:literal, $rust:ty $(, $field:ident)*) => {
            all.push((format!("sizeof({})", $c), size_of::<$rust>()));
            all.push((format!("_Alignof({})", $c), align_of::<$rust>()));
            $(all.push((
                format!("offsetof({}, {})", $c, stringify!($field)),
                offset_of!($rust, $field),
            ));)*
        };
    }
    layout!("lapidary_status", Status);
    layout!("lapidary_bytes", Bytes<'_>);
    layout!("lapidary_buffer", Buffer);
    layout!(
        "lapidary_descriptor",
        Descriptor,
        magic,
        major,
        minor,
        size,
        kind,
        info,
        table
    );
    layout!(
        "lapidary_searcher_table",
        SearcherTable,
        size,
        build,
        ask,
        tell,
        snapshot,
        restore,
        destroy
    );
    layout!("lapidary_tensor", Tensor<'_>);
    layout!(
        "lapidary_answer",
        Answer,
        text,
        tensors,
        count,
        owner,
        release
    );
    layout!("lapidary_host_table", HostTable, size, context, call);
    layout!(
        "lapidary_optimizer_table",
        OptimizerTable,
        size,
        build,
        optimize,
        destroy
    );
    layout!("lapidary_note", Note);
    let content = size_of::<Note>() - size_of::<Content>();
    macro_rules! in_note {
        ($($field:ident)*) => {
            $(all.push((
                format!("offsetof(lapidary_note, {})", stringify!($field)),
                content + offset_of!(Content, $field),
            ));)*
        };
    }
    in_note!(magic major minor needs panic kind target name version);
    let constants = [
        ("LAPIDARY_MAGIC", abi::MAGIC as usize),
        ("LAPIDARY_MAJOR", abi::MAJOR.into()),
        ("LAPIDARY_MINOR", abi::MINOR.into()),
        ("LAPIDARY_SEARCHER", abi::SEARCHER as usize),
        ("LAPIDARY_OPTIMIZER", abi::OPTIMIZER as usize),
    ];
    let statuses = [
        ("LAPIDARY_OK", Status::OK),
        ("LAPIDARY_FAILED", Status::FAILED),
        ("LAPIDARY_PANICKED", Status::PANICKED),
        ("LAPIDARY_SETTINGS", Status::SETTINGS),
        ("LAPIDARY_UNFIT", Status::UNFIT),
        ("LAPIDARY_UNKNOWN_TRIAL", Status::UNKNOWN_TRIAL),
        ("LAPIDARY_TOLD_TWICE", Status::TOLD_TWICE),
        ("LAPIDARY_OBJECTIVES", Status::OBJECTIVES),
        ("LAPIDARY_FOREIGN_SNAPSHOT", Status::FOREIGN_SNAPSHOT),
        ("LAPIDARY_MALFORMED_SNAPSHOT", Status::MALFORMED_SNAPSHOT),
        ("LAPIDARY_NO_SNAPSHOTS", Status::NO_SNAPSHOTS),
    ];
    all.extend(constants.map(|(name, value)| (name.to_owned(), value)));
    all.extend(statuses.map(|(name, status)| (name.to_owned(), status.0 as usize)));
    all
}

#[test]
fn c_and_rust_agree() {
    let expected = expected();
    let mut program =
        String::from("#include <stdio.h>\n#include \"lapidary.h\"\nint main(void) {\n");
    for (expression, _) in &expected {
        writeln!(program, "    printf(\"%zu\\n\", (size_t)({expression}));").unwrap();
    }
    program.push_str("    puts(LAPIDARY_TARGET);\n    return 0;\n}\n");
    let folder = tempfile::tempdir().unwrap();
    let (source, binary) = (folder.path().join("layout.c"), folder.path().join("layout"));
    std::fs::write(&source, program).unwrap();
    let compiler = std::env::var_os("CC").unwrap_or_else(|| "cc".into());
    let compiled = Command::new(compiler)
        .args([
            "-std=c11",
            "-Wall",
            "-Wextra",
            "-Wpedantic",
            "-Werror",
            "-I",
        ])
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/include"))
        .arg(&source)
        .arg("-o")
        .arg(&binary)
        .output()
        .expect("a C compiler is installed");
    assert!(
        compiled.status.success(),
        "{}",
        String::from_utf8_lossy(&compiled.stderr)
    );
    let printed = Command::new(&binary).output().unwrap();
    let printed = String::from_utf8(printed.stdout).unwrap();
    let mut lines = printed.lines();
    for (expression, value) in expected {
        assert_eq!(lines.next(), Some(&*value.to_string()), "{expression}");
    }
    assert_eq!(lines.next(), Some(TARGET));
}
