use proptest::prelude::*;

use super::*;

const NOW: u32 = 1_559_731_985;
const V4: &str = "198.51.100.100";

fn octets<const N: usize>(hex: &str) -> [u8; N] {
    assert_eq!(hex.len(), 2 * N);
    let digit = |at: usize| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap();
    std::array::from_fn(digit)
}

fn option(hex: &str) -> Cookie {
    let value: Vec<u8> = (0..hex.len() / 2)
        .map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap())
        .collect();
    Cookie::read(&value)
}

fn secrets(active: &str, other: Option<&str>) -> CookieSecrets {
    CookieSecrets {
        active: octets(active),
        other: other.map(octets),
    }
}

/// The secret of the first three examples in RFC 9018, appendix A.
fn example() -> CookieSecrets {
    secrets("e5e973e5a6b2a43f48e7dc849e37bfcf", None)
}

fn judge(cookie: Cookie, secrets: &CookieSecrets, client: &str, now_s: u32) -> Judged {
    let client = client.parse().unwrap();
    cookie.judge(secrets, client, now_s).unwrap()
}

/// RFC 9018, appendix A.1.
#[test]
fn a_client_learns_a_cookie() {
    let judged = judge(option("2464c4abcf10c957"), &example(), V4, NOW);
    assert!(!judged.is_good);
    let expected = "2464c4abcf10c957010000005cf79f111f8130c3eee29480";
    assert_eq!(judged.reply, octets(expected));
}

/// RFC 9018, appendix A.2: after 40 minutes a good cookie is replaced.
#[test]
fn a_client_gets_a_new_cookie_for_an_old_one() {
    let sent = "2464c4abcf10c957010000005cf79f111f8130c3eee29480";
    let judged = judge(option(sent), &example(), V4, 0x5CF7_A871);
    assert!(judged.is_good);
    let expected = "2464c4abcf10c957010000005cf7a871d4a564a1442aca77";
    assert_eq!(judged.reply, octets(expected));
}

/// RFC 9018, appendix A.3: reserved octets of any value are hashed as they are.
#[test]
fn reserved_octets_do_not_spoil_a_cookie() {
    let sent = "fc93fc62807ddb8601abcdef5cf78f71a314227b6679ebf5";
    let client = "203.0.113.203";
    assert!(judge(option(sent), &example(), client, 0x5CF7_8F71).is_good);
    let judged = judge(option(sent), &example(), client, 0x5CF7_A9AC);
    // The example is 1 h 52 min old, which §4.3 has rejected.
    assert!(!judged.is_good);
    let expected = "fc93fc62807ddb86010000005cf7a9acf73a7810aca2381e";
    assert_eq!(judged.reply, octets(expected));
}

/// RFC 9018, appendix A.4 and §5: a cookie of the secret before is good, and replaced at once.
#[test]
fn a_cookie_of_the_other_secret_is_good_and_replaced() {
    let both = secrets(
        "445536bcd2513298075a5d379663c962",
        Some("dd3bdf9344b678b185a6f5cb60fca715"),
    );
    let sent = option("22681ab97d52c298010000005cf7c57926556bd0934c72f8");
    let client = "2001:db8:220:1:59de:d0f4:8769:82b8";
    let judged = judge(sent, &both, client, 0x5CF7_C609);
    assert!(judged.is_good);
    let expected = "22681ab97d52c298010000005cf7c609a6bb79d16625507a";
    assert_eq!(judged.reply, octets(expected));

    let alone = CookieSecrets {
        other: None,
        ..both
    };
    assert!(!judge(sent, &alone, client, 0x5CF7_C609).is_good);
}

/// RFC 7873 §4: 8 octets, or 16 to 40.
#[test]
fn a_cookie_has_eight_octets_or_sixteen_to_forty() {
    for length in 0..=64 {
        let sound = length == 8 || (16..=40).contains(&length);
        let cookie = Cookie::read(&vec![7; length]);
        assert_eq!(cookie != Cookie::Malformed, sound, "{length}");
        assert_eq!(cookie.has_server_part(), sound && length > 8, "{length}");
        let client = V4.parse().unwrap();
        let judged = cookie.judge(&example(), client, NOW);
        assert_eq!(judged.is_some(), sound, "{length}");
        assert!(judged.is_none_or(|judged| !judged.is_good), "{length}");
    }
}

/// RFC 9018 §4.3: five minutes ahead to an hour old, replaced after half an hour; the clock of
/// 32 bits may go round meanwhile.
#[test]
fn a_cookie_is_good_from_five_minutes_before_to_an_hour_after_it_was_made() {
    for made_s in [NOW, 0, 100, u32::MAX, u32::MAX - 1000] {
        let own = Cookie::Client([1; 8]);
        let made = Cookie::read(&judge(own, &example(), V4, made_s).reply);
        for (age_s, good, same) in [
            (-301, false, false),
            (-300, true, true),
            (0, true, true),
            (1800, true, true),
            (1801, true, false),
            (3600, true, false),
            (3601, false, false),
            (i32::MAX, false, false),
            (i32::MIN, false, false),
        ] {
            let now_s = made_s.wrapping_add_signed(age_s);
            let judged = judge(made, &example(), V4, now_s);
            assert_eq!(judged.is_good, good, "{made_s} {age_s}");
            assert_eq!(Cookie::read(&judged.reply) == made, same, "{age_s}");
            // What is given instead is good for the same client.
            assert!(judge(Cookie::read(&judged.reply), &example(), V4, now_s).is_good);
        }
    }
}

/// RFC 9018 §4.4: the address is the client's, in whichever form the socket tells it.
#[test]
fn a_cookie_is_good_for_its_own_client_alone() {
    let made = Cookie::read(&judge(Cookie::Client([1; 8]), &example(), V4, NOW).reply);
    assert!(judge(made, &example(), "::ffff:198.51.100.100", NOW).is_good);
    for other in ["198.51.100.101", "2001:db8::1", "::198.51.100.100"] {
        assert!(!judge(made, &example(), other, NOW).is_good, "{other}");
    }
    let Cookie::Both(mut own, server) = made else {
        panic!("{made:?}");
    };
    own[7] ^= 1;
    assert!(!judge(Cookie::Both(own, server), &example(), V4, NOW).is_good);
}

proptest! {
    #[test]
    fn no_octets_make_the_reader_panic(
        value in proptest::collection::vec(any::<u8>(), 0..64),
        now_s: u32,
        client: u128,
    ) {
        let client = std::net::Ipv6Addr::from_bits(client).into();
        let _ = Cookie::read(&value).judge(&example(), client, now_s);
    }

    #[test]
    fn a_changed_bit_makes_a_cookie_bad(
        own: [u8; 8], client: u32, now_s: u32, bit in 0..128_usize,
    ) {
        let client = std::net::Ipv4Addr::from_bits(client).into();
        let judged = Cookie::Client(own).judge(&example(), client, now_s).unwrap();
        let Cookie::Both(own, mut server) = Cookie::read(&judged.reply) else {
            panic!("{judged:?}");
        };
        let good = Cookie::Both(own, server).judge(&example(), client, now_s).unwrap();
        prop_assert!(good.is_good);
        server[bit / 8] ^= 1 << (bit % 8);
        let bad = Cookie::Both(own, server).judge(&example(), client, now_s).unwrap();
        prop_assert!(!bad.is_good);
    }
}
