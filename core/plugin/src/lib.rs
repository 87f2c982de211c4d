//! Plug-ins: strategies in a shared library, in Rust, C or whatever else can make one.
//!
//! The border is a small C interface ([`abi`], for other languages `include/lapidary.h`): one exported table, texts in JSON,
//! and a note in the file ([`note`]) from which a host knows what it is before opening it. That part has no dependencies. With
//! the feature `rust`, which is on by default, there is what reads and writes those texts ([`wire`]), and a strategy in Rust
//! becomes a plug-in by one line in a crate of type `cdylib`:
//!
//! ```ignore
//! lapidary_plugin::export!(my_strategy::ENTRY);
//! ```
//!
//! The crate `my_strategy` itself is an ordinary one with a `pub static ENTRY`, and can be linked into a program as well.

pub mod abi;
#[cfg(feature = "rust")]
pub mod export;
pub mod note;
#[cfg(feature = "rust")]
pub mod wire;

/// Makes a plug-in of a crate of type `cdylib`: exports the entry in the static that is named.
#[cfg(feature = "rust")]
#[macro_export]
macro_rules! export {
    ($entry:path) => {
        const _: () = {
            struct Export;

            impl $crate::export::Exported for Export {
                const ENTRY: &'static $crate::export::Entry = &$entry;
            }

            #[unsafe(export_name = "lapidary_plugin")]
            static DESCRIPTOR: $crate::abi::Descriptor = $crate::export::descriptor::<Export>();

            #[used]
            #[unsafe(link_section = ".note.lapidary")]
            static NOTE: $crate::note::Note = $crate::note::Note::new(
                $crate::export::kind(&$entry),
                $entry.info.name,
                env!("CARGO_PKG_VERSION"),
                if cfg!(panic = "abort") {
                    $crate::note::PanicMode::Aborts
                } else {
                    $crate::note::PanicMode::Caught
                },
            );
        };
    };
}
