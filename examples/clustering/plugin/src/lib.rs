//! Weights shared by k-means as a plug-in.

lapidary_plugin::export!(clustering::ENTRY);
