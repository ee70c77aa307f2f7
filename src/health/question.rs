//! A question to another program that answers for a service, and what its answers mean.

use std::fmt;
use std::sync::Arc;

/// What is asked, as its owner makes and judges it: this domain knows no DNS.
#[derive(Clone)]
pub struct Question {
    /// For people.
    pub text: Arc<str>,
    /// The message to send, with this id; without the length that TCP wants.
    pub query: Arc<dyn Fn(u16) -> Vec<u8> + Send + Sync>,
    /// Judges messages.
    pub judge: Judge,
}

/// From the message that was sent and one that came, to what that shows: `None` when it is no reply
/// to it, else whether it is as it should be, or how it is not.
pub type Judge = Arc<dyn Fn(&[u8], &[u8]) -> Option<Result<(), String>> + Send + Sync>;

impl fmt::Debug for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Question({:?})", self.text)
    }
}
