//! How another node of the service says that it asks as its last resort.
//!
//! Source: RFC 6891 §6.1.2 (options), §9 (option codes 65001 to 65534 are for local use).

/// EDNS option code of the marker. It gives rights only beside a source address on the list of
/// siblings; what bears it is passed on to no sibling, wherever it comes from. Its value is one
/// octet, 1.
pub const MARKER: u16 = 65_053;

const TYPE_OPT: u16 = 41;
/// Size of answers that we ask for over UDP; the same as for other questions.
const UDP_SIZE: u16 = 1232;
/// Of the number of additional records in a message.
const ADDITIONAL: usize = 10;

/// Marks `message`, a question without OPT and without additional records, as a sibling's.
pub fn mark(message: &mut Vec<u8>) {
    let Some(count) = message.get_mut(ADDITIONAL..ADDITIONAL + 2) else {
        return;
    };
    count.copy_from_slice(&1_u16.to_be_bytes());
    // Root, type, size, extended RCODE and version, flags, length of the options; then one option.
    message.push(0);
    for word in [TYPE_OPT, UDP_SIZE, 0, 0, 5, MARKER, 1] {
        message.extend_from_slice(&word.to_be_bytes());
    }
    message.push(1);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6891 §6.1.2: the fields of OPT, then option code, length and value.
    #[test]
    fn a_marked_question_has_one_opt_with_the_marker_and_nothing_else() {
        let mut message = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\0\0\x02\0\x01".to_vec();
        mark(&mut message);
        assert_eq!(
            message,
            b"\x12\x34\x01\0\0\x01\0\0\0\0\0\x01\0\0\x02\0\x01\
              \0\0\x29\x04\xd0\0\0\0\0\0\x05\xfe\x1d\0\x01\x01"
        );
    }

    #[test]
    fn what_is_no_message_stays_as_it_is() {
        let mut message = vec![0; 11];
        mark(&mut message);
        assert_eq!(message, [0; 11]);
    }
}
