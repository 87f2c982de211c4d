//! The properties every searcher keeps.

lapidary_testkit::searcher_conformance!(lapidary_grid::ENTRY);
