//! The properties every searcher keeps.

lapidary_testkit::searcher_conformance!(lapidary_halving::ENTRY);
