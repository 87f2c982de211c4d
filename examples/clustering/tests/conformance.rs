//! The properties every optimizer keeps.

lapidary_testkit::optimizer_conformance!(clustering::ENTRY);
