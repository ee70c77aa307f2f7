//! Two sessions, a poor link between them, and a clock.
