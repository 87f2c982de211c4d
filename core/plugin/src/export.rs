//! The plug-in's side of the border for strategies in Rust: an entry of the registry as tables of functions.

mod call;
mod optimizer;
mod panic;
mod remote;
mod searcher;

pub use lapidary_core::registry::Entry;
use lapidary_core::registry::Factory;

pub use self::call::Exported;
use self::call::guarded;
use crate::abi::{Buffer, Descriptor, MAGIC, MAJOR, MINOR, OPTIMIZER, SEARCHER, Status};
use crate::wire::{Described, write};

/// The number that stands for the kind of an entry.
///
/// # Panics
/// When it makes neither searchers nor optimizers, which for the constant it is made for is an error of the compiler's.
pub const fn kind(entry: &Entry) -> u32 {
    match entry.factory {
        Factory::Searcher(_) => SEARCHER,
        Factory::Optimizer(_) => OPTIMIZER,
        _ => panic!("a plug-in makes searchers or optimizers"),
    }
}

/// The descriptor of a plug-in.
pub const fn descriptor<E: Exported>() -> Descriptor {
    Descriptor {
        magic: MAGIC,
        major: MAJOR,
        minor: MINOR,
        size: size_of::<Descriptor>() as u32,
        kind: kind(E::ENTRY),
        info: Some(info::<E>),
        table: match E::ENTRY.factory {
            Factory::Searcher(_) => (&raw const *searcher::table::<E>()).cast(),
            Factory::Optimizer(_) => (&raw const *optimizer::table::<E>()).cast(),
            _ => panic!("a plug-in makes searchers or optimizers"),
        },
    }
}

unsafe extern "C" fn info<E: Exported>(out: *mut Buffer) -> Status {
    // SAFETY: the host gives an empty buffer.
    unsafe {
        guarded(out, || {
            let mut text = Vec::new();
            write(&mut text, &Described::from(&E::ENTRY.info));
            Ok(text)
        })
    }
}
