//! The lab's own program.

fn main() {}
