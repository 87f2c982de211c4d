//! The properties every searcher keeps: one test each.

lapidary_testkit::searcher_conformance!(my_searcher::ENTRY);
