//! Simulated annealing as a plug-in.

lapidary_plugin::export!(annealing::ENTRY);
