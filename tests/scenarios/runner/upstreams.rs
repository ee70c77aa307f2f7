//! Who plays the upstreams, and what they are expected to have been asked.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use fake_upstream::play::Play;
use fake_upstream::script::Script;
use fake_upstream::words::{duration, items, long_name, number, quoted, type_code};

use super::message::Message;
use super::text::{Scenario, Step};
use super::world::{Actor, Heard};

/// All upstreams of a scenario.
pub(crate) struct Cast {
    members: Vec<Member>,
}

struct Member {
    name: String,
    zone: String,
    is_sibling: bool,
    script: Script,
}

/// Everybody whom a scenario names, with what they do at first.
pub(crate) fn cast(scenario: &Scenario) -> Result<Cast, String> {
    let mut members: Vec<Member> = Vec::new();
    for step in &scenario.steps {
        if !matches!(step.word.as_str(), "upstream" | "sibling") {
            continue;
        }
        let (name, zone) = step.rest.split_once(" for ").unwrap_or((&step.rest, "."));
        if name.len() != 1 || !name.starts_with(|c: char| c.is_ascii_lowercase()) {
            return Err(format!("line {}: upstreams are called a to z", step.line));
        }
        if members.iter().all(|member| member.name != name) {
            members.push(Member {
                name: name.to_owned(),
                zone: zone.to_owned(),
                is_sibling: step.word == "sibling",
                script: script(step)?,
            });
        }
    }
    Ok(Cast { members })
}

/// What no rule speaks of is answered without records: so are probes.
pub(crate) fn script(step: &Step) -> Result<Script, String> {
    let text = format!("{}\n* -> rcode NOERROR", step.block.join("\n"));
    Script::parse(&text).map_err(|error| format!("upstream {}: {error}", step.rest))
}

impl Cast {
    pub(crate) fn actors(self) -> Vec<(String, Play)> {
        let members = self.members.into_iter().zip(1..);
        members
            .map(|(member, seed)| (member.name, Play::new(member.script, seed)))
            .collect()
    }

    /// The forward zones as TOML, unless the scenario writes them itself.
    pub(crate) fn zones_text(&self, scenario: &Scenario) -> String {
        let mut steps = scenario.steps.iter().filter(|step| step.word == "config");
        if steps.any(|step| step.joined().contains("[[forward]]")) {
            return String::new();
        }
        let mut zones: Vec<&str> = vec!["."];
        for member in &self.members {
            if !zones.contains(&member.zone.as_str()) {
                zones.push(&member.zone);
            }
        }
        let mut text = String::new();
        for zone in zones {
            let addresses = |is_sibling| {
                let members = self.members.iter();
                let members =
                    members.filter(|one| one.zone == zone && one.is_sibling == is_sibling);
                let addresses: Vec<_> = members
                    .map(|one| format!("{:?}", address(&one.name)))
                    .collect();
                addresses.join(", ")
            };
            let (mut ordinary, siblings) = (addresses(false), addresses(true));
            if ordinary.is_empty() {
                // Nobody is there.
                ordinary = "\"192.0.2.27\"".to_owned();
            }
            text.push_str(&format!(
                "[[forward]]\nzone = {zone:?}\nupstreams = [{ordinary}]\n"
            ));
            if !siblings.is_empty() {
                text.push_str(&format!("last_resort = [{siblings}]\n"));
            }
        }
        text
    }
}

fn address(name: &str) -> String {
    let number = name.bytes().next().map_or(0, |letter| letter - b'a' + 1);
    format!("192.0.2.{number}")
}

/// The files that a configuration may name: `$FOLDER/cookie.key`, `$FOLDER/hosts`.
pub(crate) fn write_files(scenario: &Scenario, folder: &Path) -> io::Result<()> {
    let key = folder.join("cookie.key");
    fs::write(&key, "000102030405060708090a0b0c0d0e0f\n")?;
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600))?;
    let hosts = scenario.steps.iter().filter(|step| step.word == "hosts");
    let hosts: Vec<_> = hosts.map(|step| step.block.join("\n")).collect();
    fs::write(folder.join("hosts"), hosts.join("\n"))
}

/// Checks what an upstream has been asked since this was last looked at.
pub(crate) fn check(actors: &mut [Actor], text: &str) -> Result<(), String> {
    let (name, rest) = text
        .split_once(' ')
        .ok_or("write: expect-upstream NAME …")?;
    let actor = actors.iter_mut().find(|actor| actor.name == name);
    let heard = std::mem::take(&mut actor.ok_or("there is no such upstream")?.heard);
    for item in items(rest).map(str::trim) {
        if !holds(&heard, item)? {
            return Err(format!(
                "upstream {name}: expected {item}; it has heard{}",
                told(&heard)
            ));
        }
    }
    Ok(())
}

fn holds(heard: &[Heard], item: &str) -> Result<bool, String> {
    let (word, rest) = item.split_once(' ').unwrap_or((item, ""));
    let count = |wanted: &dyn Fn(&&Heard) -> bool| heard.iter().filter(wanted).count();
    let probes: Vec<_> = heard
        .iter()
        .filter(|one| one.is_probe)
        .map(|one| one.at)
        .collect();
    Ok(match word {
        "asked" => in_range(count(&|one| !one.is_probe && !one.is_tcp), rest)?,
        "asked-over-tcp" => in_range(count(&|one| one.is_tcp), rest)?,
        "probed" => in_range(probes.len(), rest)?,
        "probed-per-second" => {
            let in_a_second = |first: &std::time::Instant| {
                let end = *first + Duration::from_secs(1);
                probes
                    .iter()
                    .filter(|at| (*first..end).contains(at))
                    .count()
            };
            in_range(probes.iter().map(in_a_second).max().unwrap_or(0), rest)?
        }
        "longest-silence" => {
            let most = duration(rest)?;
            probes.windows(2).all(|pair| pair[1] - pair[0] <= most)
        }
        "saw" => {
            let last = heard
                .iter()
                .rfind(|one| !one.is_probe)
                .ok_or("nothing was asked")?;
            saw(&Message::decode(&last.message)?, rest)?
        }
        _ => return Err(format!("what is {item:?}?")),
    })
}

/// Whether the last question was so.
fn saw(message: &Message, item: &str) -> Result<bool, String> {
    let (word, rest) = item.split_once(' ').unwrap_or((item, ""));
    let has_do = message
        .opt
        .as_ref()
        .is_some_and(|opt| opt.flags & 0x8000 != 0);
    Ok(match (word, rest) {
        ("edns", "") => message.opt.is_some(),
        ("edns", size) => message.opt.as_ref().map(|opt| opt.udp_size) == Some(number(Some(size))?),
        ("plain", _) => message.opt.is_none(),
        ("do", _) => has_do,
        ("no", "do") => !has_do,
        ("rd", _) => message.has(0x0100),
        ("ad", _) => message.has(0x0020),
        ("cd", _) => message.has(0x0010),
        ("no", "cd") => !message.has(0x0010),
        ("no", option) => {
            let code = number(option.strip_prefix("option "))?;
            message.options(code).next().is_none()
        }
        ("option", code) => message.options(number(Some(code))?).next().is_some(),
        ("question", text) => {
            let (name, qtype) = quoted(text)?.split_once(' ').ok_or("write \"NAME TYPE\"")?;
            let mut wanted = long_name(name)?;
            wanted.extend(type_code(qtype)?.to_be_bytes());
            message
                .questions
                .iter()
                .any(|question| question.starts_with(&wanted))
        }
        _ => return Err(format!("what is {item:?}?")),
    })
}

/// `N`, `N..M`, `<= N`, `>= N`.
fn in_range(count: usize, text: &str) -> Result<bool, String> {
    Ok(if let Some((least, most)) = text.split_once("..") {
        (number(Some(least))?..=number(Some(most))?).contains(&count)
    } else if let Some(most) = text.strip_prefix("<= ") {
        count <= number(Some(most))?
    } else if let Some(least) = text.strip_prefix(">= ") {
        count >= number(Some(least))?
    } else {
        count == number::<usize>(Some(text))?
    })
}

fn told(heard: &[Heard]) -> String {
    let probes = heard.iter().filter(|one| one.is_probe).count();
    let questions = heard.len() - probes;
    let mut text = format!(" {questions} question(s) and {probes} probe(s):\n");
    let first = heard.first().map(|one| one.at);
    let questions = heard.iter().filter(|one| !one.is_probe);
    for one in questions.take(20) {
        let after = first.map(|first| one.at - first).unwrap_or_default();
        let way = if one.is_tcp { "tcp" } else { "udp" };
        match Message::decode(&one.message) {
            Ok(message) => text.push_str(&format!("  after {after:?} over {way}:\n{message}")),
            Err(error) => text.push_str(&format!("  after {after:?} over {way}: {error}\n")),
        }
    }
    text
}
