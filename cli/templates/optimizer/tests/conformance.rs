//! The properties every optimizer keeps: one test each.

lapidary_testkit::optimizer_conformance!(my_optimizer::ENTRY);
