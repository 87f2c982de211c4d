//! The strategy as a plug-in.

lapidary_plugin::export!(my_searcher::ENTRY);
