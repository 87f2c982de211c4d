//! The properties every searcher keeps.

lapidary_testkit::searcher_conformance!(annealing::ENTRY);
