//! Who has a user id, by `/etc/passwd` alone: whoever else knows users may be slow, or on a network.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};

const FILE: &str = "/etc/passwd";
/// No more of the file is read.
const OCTETS_MAX: u64 = 4 << 20;
/// Longer names are no names.
const NAME_MAX: usize = 64;

/// The name of a user, or `uid 1000` for one whom the file does not know.
#[must_use]
pub fn name_of(user_id: u32) -> String {
    let file = File::open(FILE).map(|file| BufReader::new(file.take(OCTETS_MAX)));
    let name = file.ok().and_then(|file| find(file, user_id));
    name.unwrap_or_else(|| format!("uid {user_id}"))
}

/// passwd(5): `name:password:UID:…`. A line that is no text ends the search.
fn find(file: impl BufRead, user_id: u32) -> Option<String> {
    let mut lines = file.lines().map_while(Result::ok);
    lines.find_map(|line| {
        let mut fields = line.split(':');
        let (name, _password, id) = (fields.next()?, fields.next()?, fields.next()?);
        let is_name = !name.is_empty() && name.len() <= NAME_MAX;
        let is_meant = is_name && !name.contains(char::is_control);
        (is_meant && id.parse() == Ok(user_id)).then(|| name.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "\
root:x:0:0:root:/root:/bin/bash
short:x
:x:7:7::/:/bin/false
a\u{1b}[2J:x:8:8::/:/bin/false
ops:x:1000:1000:,,,:/home/ops:/bin/bash
";

    #[test]
    fn a_user_is_known_by_the_third_field() {
        for (user_id, name) in [
            (0, Some("root")),
            (1000, Some("ops")),
            (7, None),
            (8, None),
            (100, None),
        ] {
            assert_eq!(find(PASSWD.as_bytes(), user_id).as_deref(), name);
        }
    }

    #[test]
    fn whom_nobody_knows_keeps_the_number() {
        assert_eq!(name_of(4_294_967_294), "uid 4294967294");
        assert_eq!(name_of(0), "root");
    }
}
