//! Reads scenarios and plays them.
//!
//! | file | what it is |
//! |---|---|
//! | `text` | from files to scenarios and their steps |
//! | `ask` | `ask`: a question, in octets |
//! | `expect` | `expect`: what an answer has to be |
//! | `message` | messages, decoded without the code that is tested |
//! | `upstreams` | who plays the upstreams, and what they were asked |
//! | `world` | the upstreams, the probes of them, and the virtual clock |
//! | `stage` | one scenario, step by step |

pub(crate) mod ask;
pub(crate) mod expect;
pub(crate) mod message;
pub(crate) mod stage;
pub(crate) mod text;
pub(crate) mod upstreams;
pub(crate) mod world;

/// Where a scenario went wrong, and how.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) file: String,
    pub(crate) line: usize,
    pub(crate) text: String,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.text)
    }
}
