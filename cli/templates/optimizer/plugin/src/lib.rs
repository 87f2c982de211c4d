//! The optimizer as a plug-in.

lapidary_plugin::export!(my_optimizer::ENTRY);
