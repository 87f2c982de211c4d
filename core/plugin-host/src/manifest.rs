//! What the note in a plug-in's file says, read without opening it as a library.

use std::fs;
use std::path::Path;

use lapidary_plugin::abi::{MAGIC, MAJOR, MINOR, OPTIMIZER, SEARCHER};
use lapidary_plugin::note::{OWNER, SECTION, TARGET, TEXT, TYPE};
use object::elf::FileHeader64;
use object::read::elf::{FileHeader, ProgramHeader, SectionHeader};
use object::{Endianness, elf};

use crate::error::PluginError;

/// The processor this program is for, as ELF numbers it.
const MACHINE: u16 = if cfg!(target_arch = "aarch64") {
    elf::EM_AARCH64.0
} else {
    elf::EM_X86_64.0
};
/// No plug-in is larger.
const LARGEST: u64 = 1 << 30;
/// Bytes of the note before its content: three numbers and the owner.
const HEADER: usize = 12 + OWNER.len();

/// What the note says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// Version of the interface it was built against.
    pub major: u16,
    /// The part of that version that rises with additions.
    pub minor: u16,
    /// Whether a panic ends the process.
    pub aborts: bool,
    /// The number of its kind.
    pub kind: u32,
    /// Name of the strategy.
    pub name: String,
    /// Version of the plug-in.
    pub version: String,
}

impl Manifest {
    /// Reads the note of the file at `path`.
    ///
    /// # Errors
    /// When it is no whole library for this machine, has no note, or speaks another version of the interface.
    pub fn read(path: &Path) -> Result<Self, PluginError> {
        let note = note_bytes(path)?;
        Self::parse(path, &note)
    }

    /// Which version of the interface the plug-in speaks, as people write it.
    pub fn interface(&self) -> String {
        format!("{}.{}", self.major, self.minor)
    }

    fn parse(path: &Path, note: &[u8]) -> Result<Self, PluginError> {
        let wrong = |reason: &str| PluginError::Note {
            path: path.to_owned(),
            reason: reason.to_owned(),
        };
        let header = note.get(..HEADER).ok_or_else(|| wrong("it is too short"))?;
        let content = &note[HEADER..];
        let size = u32_at(header, 4) as usize;
        if u32_at(header, 0) != 9 || u32_at(header, 8) != TYPE || header[12..] != OWNER {
            return Err(wrong("it is not by Lapidary"));
        }
        let content = content
            .get(..size)
            .filter(|content| content.len() >= 8)
            .ok_or_else(|| wrong("it is too short"))?;
        if u32_at(content, 0) != MAGIC {
            return Err(wrong("its first bytes are not LPDY"));
        }
        // Magic and version stand where they stand in every version; all else is looked at only when that is known.
        let (major, minor) = (u16_at(content, 4), u16_at(content, 6));
        let other = |found: String| PluginError::Version {
            path: path.to_owned(),
            found,
            ours: format!("{MAJOR}.{MINOR}"),
        };
        if major != MAJOR {
            return Err(other(format!("{major}.{minor}")));
        }
        if content.len() < 16 + 3 * TEXT {
            return Err(wrong("it is too short"));
        }
        let needs = u16_at(content, 8);
        if needs > MINOR {
            return Err(other(format!("{major}.{needs} or later")));
        }
        let text = |index: usize| {
            let from = 16 + index * TEXT;
            let bytes = &content[from..from + TEXT];
            let end = bytes.iter().position(|b| *b == 0);
            let text = end.and_then(|end| std::str::from_utf8(&bytes[..end]).ok());
            text.filter(|text| !text.is_empty()).map(str::to_owned)
        };
        let target = text(0).ok_or_else(|| wrong("it names no target"))?;
        if target != TARGET {
            return Err(PluginError::Target {
                path: path.to_owned(),
                found: target,
                ours: TARGET,
            });
        }
        let kind = u32_at(content, 12);
        if !matches!(kind, SEARCHER | OPTIMIZER) {
            return Err(PluginError::Kind {
                path: path.to_owned(),
                found: kind,
            });
        }
        Ok(Self {
            major,
            minor,
            aborts: u16_at(content, 10) != 0,
            kind,
            name: text(1).ok_or_else(|| wrong("it has no name"))?,
            version: text(2).ok_or_else(|| wrong("it has no version"))?,
        })
    }
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_ne_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// The bytes of the note's section.
fn note_bytes(path: &Path) -> Result<Vec<u8>, PluginError> {
    let read = |source| PluginError::Read {
        path: path.to_owned(),
        source,
    };
    let none = |reason: object::Error| PluginError::NoLibrary {
        path: path.to_owned(),
        reason: reason.to_string(),
    };
    let meta = fs::metadata(path).map_err(read)?;
    if !meta.is_file() || meta.len() > LARGEST {
        return Err(PluginError::NoLibrary {
            path: path.to_owned(),
            reason: format!("it is no file of at most {LARGEST} bytes"),
        });
    }
    let bytes = fs::read(path).map_err(read)?;
    let data = &bytes[..];
    let header = FileHeader64::<Endianness>::parse(data).map_err(none)?;
    let endian = header.endian().map_err(none)?;
    let machine = header.e_machine(endian).0;
    if machine != MACHINE {
        return Err(PluginError::Machine {
            path: path.to_owned(),
            found: machine,
            wanted: MACHINE,
        });
    }
    // The system maps what these say without looking at how long the file is, and the first touch would kill the process.
    for part in header.program_headers(endian, data).map_err(none)? {
        let end = part.p_offset(endian).saturating_add(part.p_filesz(endian));
        if end > data.len() as u64 {
            return Err(PluginError::Truncated {
                path: path.to_owned(),
                wanted: end,
                found: data.len() as u64,
            });
        }
    }
    let sections = header.sections(endian, data).map_err(none)?;
    match sections.section_by_name(endian, SECTION.as_bytes()) {
        Some((_, section)) => Ok(section.data(endian, data).map_err(none)?.to_vec()),
        None => Err(PluginError::NoNote {
            path: path.to_owned(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lapidary_plugin::note::{Note, PanicMode};

    fn note() -> Vec<u8> {
        let note = Note::new(SEARCHER, "mine", "1.2.3", PanicMode::Aborts);
        let (data, size) = ((&raw const note).cast::<u8>(), size_of::<Note>());
        // SAFETY: a note has no padding, and lives until its bytes are copied.
        unsafe { std::slice::from_raw_parts(data, size) }.to_vec()
    }

    fn parse(note: &[u8]) -> Result<Manifest, String> {
        Manifest::parse(Path::new("p.so"), note).map_err(|e| e.to_string())
    }

    #[test]
    fn a_note_is_read() {
        let manifest = parse(&note()).unwrap();
        assert_eq!((&*manifest.name, &*manifest.version), ("mine", "1.2.3"));
        assert_eq!((manifest.kind, manifest.aborts), (SEARCHER, true));
        // A later version may say more.
        let mut longer = note();
        longer.extend([7; 16]);
        longer[4] += 16;
        assert_eq!(parse(&longer).unwrap(), manifest);
    }

    #[test]
    fn wrong_notes_are_told_apart() {
        let changed = |at: usize, to: u8| {
            let mut note = note();
            note[at] = to;
            parse(&note).unwrap_err()
        };
        assert!(changed(12, b'X').contains("not by Lapidary"));
        assert!(changed(HEADER, b'X').contains("not LPDY"));
        assert!(changed(HEADER + 4, 2).contains("speaks version 2.0"));
        assert!(changed(HEADER + 4, 0).contains("speaks version 0.0"));
        assert!(changed(HEADER + 8, 9).contains("1.9 or later"));
        assert!(changed(HEADER + 12, 9).contains("kind 9"));
        assert!(changed(HEADER + 16, b'X').contains("built for X"));
        assert!(changed(HEADER + 16 + TEXT, 0).contains("no name"));
        assert!(changed(HEADER + 16 + TEXT, 0xff).contains("no name"));
    }

    #[test]
    fn no_cut_or_changed_byte_brings_the_reader_down() {
        let note = note();
        for end in 0..note.len() {
            assert!(parse(&note[..end]).is_err(), "{end}");
        }
        for at in 0..note.len() {
            for to in [0, 1, 0x7f, 0xff] {
                let mut note = note.clone();
                note[at] = to;
                let _ = parse(&note);
            }
        }
    }
}
