//! A sibling's answer about itself: can it be read, and is what was read written the same way?
#![no_main]

use libfuzzer_sys::fuzz_target;
use sidestep::dns::peers::{Question, Word};

fuzz_target!(|input: &[u8]| {
    let id = input
        .first_chunk()
        .map_or(0, |id| u16::from_be_bytes(*id));
    let question = Question::new(id);
    let _ = question.read(input);
    // Behind a question that matches, so that most inputs get past the first look.
    let mut message = question.message();
    message.truncate(31);
    message[2] = 0x80;
    message[7] = 1;
    message[11] = 0;
    message.extend_from_slice(input);
    let read = question.read(&message);
    for word in read.into_iter().chain([Word::parse(input)]) {
        assert_eq!(Word::parse(word.text().as_bytes()), word);
    }
});
