//! A neighbour's UPDATE, read as any kind of session would.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sidestep::bgp::message::{Families, MESSAGE_MAX};
use sidestep::bgp::update::{Reading, Update};

// One octet that tells the kind of session, and the body.
fuzz_target!(|input: &[u8]| {
    let Some((kind, body)) = input.split_first() else {
        return;
    };
    let reading = Reading {
        four_octet: kind & 1 != 0,
        internal: kind & 2 != 0,
        ipv4_over_ipv6: kind & 4 != 0,
        families: Families {
            ipv4: kind & 8 == 0,
            ipv6: kind & 16 == 0,
        },
    };
    match Update::decode(body, &reading) {
        Ok(update) => {
            assert!(update.announced.len() + update.withdrawn.len() <= body.len());
            assert!(update.as_path.length() <= body.len());
            assert!(update.treated_as_withdraw.is_none() || update.announced.is_empty());
            assert!(update.end_of_rib.is_none() || update.withdrawn.is_empty());
            for prefix in &update.announced {
                assert!(update.next_hop(prefix).is_some());
            }
        }
        Err(error) => {
            let message = error.notification().encode();
            assert!((21..=MESSAGE_MAX).contains(&message.len()));
        }
    }
});
