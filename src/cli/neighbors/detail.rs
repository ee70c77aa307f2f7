//! One neighbour for people, with everything that is known of it.

use std::fmt::Write as _;

use crate::admin::status::neighbor::{
    AnnouncedRoute, Capability, MessageCounts, Mishap, NeighborDetail, Speaker, SpeakerRole, Timers,
};
use crate::admin::status::{Family, SessionState};
use crate::cli::layout::{Row, align, duration, none, printable, row, yes_no};

mod bfd;

/// Names that RFC 1997, RFC 3765 and RFC 8326 give.
const WELL_KNOWN: [(&str, &str); 4] = [
    ("65535:0", "graceful-shutdown"),
    ("65535:65281", "no-export"),
    ("65535:65282", "no-advertise"),
    ("65535:65284", "no-peer"),
];

/// Facts, then tables, apart by an empty line.
pub(super) fn render(neighbor: &NeighborDetail) -> String {
    let mut text = String::new();
    for (key, value) in facts(neighbor) {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{key:<14} {}", printable(&value));
    }
    let sections = [
        capabilities(&neighbor.local, &neighbor.remote),
        routes(&neighbor.routes),
        messages(neighbor),
    ];
    for section in sections.iter().filter(|section| section.len() > 1) {
        text.push('\n');
        text.push_str(&align(section));
    }
    text
}

type Fact = (&'static str, String);

fn facts(neighbor: &NeighborDetail) -> Vec<Fact> {
    let summary = &neighbor.summary;
    let mut facts = vec![
        ("neighbor", who(neighbor)),
        ("state", state(neighbor)),
        ("local", speaker(&neighbor.local)),
        ("remote", speaker(&neighbor.remote)),
        ("hold time", hold_time(neighbor)),
        ("timers", timers(&neighbor.timers)),
        ("families", families(&neighbor.families)),
        ("role", roles(neighbor.local.role, neighbor.remote.role)),
        ("ttl", ttl(neighbor)),
        ("md5", yes_no(neighbor.md5).to_owned()),
    ];
    if neighbor.dead_man {
        let text = "held down: a withdraw could not be written while health was silent";
        facts.push(("dead man", text.to_owned()));
    }
    facts.extend([
        ("last sent", mishap(neighbor.last_error_sent.as_ref())),
        (
            "last received",
            mishap(neighbor.last_error_received.as_ref()),
        ),
        ("last end", mishap(neighbor.last_end.as_ref())),
        ("update errors", neighbor.update_errors.to_string()),
    ]);
    match &neighbor.bfd_session {
        Some(session) => facts.extend(bfd::facts(session)),
        None => {
            let state = summary.bfd.map_or("off", |state| state.name());
            facts.push(("bfd", state.to_owned()));
        }
    }
    facts
}

fn who(neighbor: &NeighborDetail) -> String {
    let summary = &neighbor.summary;
    let mut text = summary.address.clone();
    if let Some(asn) = summary.asn {
        let _ = write!(text, ", AS {asn}");
    }
    text.push_str(match neighbor.internal {
        true => " (internal)",
        false => " (external)",
    });
    if let Some(interface) = &neighbor.interface {
        let _ = write!(text, ", over {interface}");
    }
    if neighbor.passive {
        text.push_str(", passive");
    }
    text
}

fn state(neighbor: &NeighborDetail) -> String {
    let summary = &neighbor.summary;
    let times = match neighbor.established_total {
        0 => "never established".to_owned(),
        1 => "established once".to_owned(),
        more => format!("established {more} times"),
    };
    let (state, since) = (summary.state.name(), duration(summary.since_s));
    format!("{state} for {since}, {times}")
}

fn speaker(speaker: &Speaker) -> String {
    let address = speaker.address.as_deref();
    let mut parts = vec![match (address, speaker.port) {
        (Some(v6), Some(port)) if v6.contains(':') => format!("[{v6}]:{port}"),
        (Some(v4), Some(port)) => format!("{v4}:{port}"),
        (Some(address), None) => address.to_owned(),
        (None, _) => "address not known".to_owned(),
    }];
    parts.extend(speaker.asn.map(|asn| format!("AS {asn}")));
    parts.extend(speaker.router_id.map(|id| format!("router id {id}")));
    parts.join(", ")
}

fn hold_time(neighbor: &NeighborDetail) -> String {
    let seconds = |time: Option<u16>| match time {
        None => "-".to_owned(),
        Some(0) => "none".to_owned(),
        Some(time) => format!("{time} s"),
    };
    let (own, other) = (neighbor.local.hold_time_s, neighbor.remote.hold_time_s);
    let offers = format!("{} offered, {} received", seconds(own), seconds(other));
    let agreed = match neighbor.summary.state {
        SessionState::Established => seconds(neighbor.summary.hold_time_s),
        SessionState::Idle
        | SessionState::Connect
        | SessionState::Active
        | SessionState::OpenSent
        | SessionState::OpenConfirm => none(),
    };
    let keepalive = neighbor.keepalive_ms.map_or_else(none, milliseconds);
    format!("{agreed} agreed, keepalive {keepalive} ({offers})")
}

fn timers(timers: &Timers) -> String {
    let running = [
        ("next attempt in", timers.restart_ms),
        ("connect retry in", timers.connect_retry_ms),
        ("own open in", timers.delay_open_ms),
        ("hold expires in", timers.hold_ms),
        ("next keepalive in", timers.keepalive_ms),
        ("send hold expires in", timers.send_hold_ms),
    ];
    let running = running.into_iter().filter_map(|(what, left)| {
        let left = milliseconds(left?);
        Some(format!("{what} {left}"))
    });
    join_or_dash(running)
}

fn families(families: &[Family]) -> String {
    let names = families.iter().map(|family| match family {
        Family::Ipv4 => "ipv4 unicast".to_owned(),
        Family::Ipv6 => "ipv6 unicast".to_owned(),
    });
    join_or_dash(names)
}

fn roles(own: Option<SpeakerRole>, other: Option<SpeakerRole>) -> String {
    let name = |role| match role {
        None => "none",
        Some(SpeakerRole::Provider) => "provider",
        Some(SpeakerRole::RouteServer) => "route-server",
        Some(SpeakerRole::RouteServerClient) => "route-server-client",
        Some(SpeakerRole::Customer) => "customer",
        Some(SpeakerRole::Peer) => "peer",
    };
    format!("{} (neighbor: {})", name(own), name(other))
}

fn ttl(neighbor: &NeighborDetail) -> String {
    let ttl = &neighbor.ttl;
    match ttl.accepted_min {
        Some(least) => format!("{} sent, {least} or more taken (GTSM)", ttl.sent),
        None => format!("{} sent, any taken", ttl.sent),
    }
}

fn mishap(mishap: Option<&Mishap>) -> String {
    mishap.map_or_else(none, |what| {
        format!("{}, {} ago", what.text, duration(what.ago_s))
    })
}

fn capabilities(local: &Speaker, remote: &Speaker) -> Vec<Row> {
    let mut all: Vec<&Capability> = Vec::new();
    for known in local.capabilities.iter().chain(&remote.capabilities) {
        if all.iter().all(|other| other.code != known.code) {
            all.push(known);
        }
    }
    all.sort_by_key(|known| known.code);
    let has = |speaker: &Speaker, code| {
        let mut codes = speaker.capabilities.iter().map(|known| known.code);
        yes_no(codes.any(|known| known == code))
    };
    let mut rows = vec![row(["CODE", "CAPABILITY", "SENT", "RECEIVED"])];
    rows.extend(all.into_iter().map(|known| {
        let (sent, received) = (has(local, known.code), has(remote, known.code));
        row([&known.code.to_string(), &known.name, sent, received])
    }));
    rows
}

fn routes(routes: &[AnnouncedRoute]) -> Vec<Row> {
    let head = [
        "PREFIX",
        "NEXT HOP",
        "MED",
        "LOCPREF",
        "PATH",
        "COMMUNITIES",
    ];
    let mut rows = vec![row(head)];
    rows.extend(routes.iter().map(|route| {
        let hops = route.next_hops.iter().map(ToString::to_string);
        let path = route.as_path.iter().map(ToString::to_string);
        let communities = route.communities.iter().map(|community| named(community));
        let otc = route.only_to_customer.map(|asn| format!("otc:{asn}"));
        let communities = communities.chain(route.large_communities.iter().cloned());
        let communities = communities.chain(otc);
        let words = |words: Vec<String>| match words.is_empty() {
            true => none(),
            false => words.join(" "),
        };
        row([
            &route.prefix,
            &words(hops.collect()),
            &route.med.map_or_else(none, |med| med.to_string()),
            &route.local_pref.map_or_else(none, |pref| pref.to_string()),
            &words(path.collect()),
            &words(communities.collect()),
        ])
    }));
    rows
}

fn named(community: &str) -> String {
    let known = WELL_KNOWN.iter().find(|(number, _)| *number == community);
    known.map_or(community, |(_, name)| *name).to_owned()
}

fn messages(neighbor: &NeighborDetail) -> Vec<Row> {
    let head = [
        "MESSAGES",
        "OPEN",
        "UPDATE",
        "NOTIFICATION",
        "KEEPALIVE",
        "REFRESH",
        "TOTAL",
    ];
    let line = |direction: &str, counts: &MessageCounts| {
        row([
            direction,
            &counts.open.to_string(),
            &counts.update.to_string(),
            &counts.notification.to_string(),
            &counts.keepalive.to_string(),
            &counts.route_refresh.to_string(),
            &counts.total().to_string(),
        ])
    };
    let messages = &neighbor.messages;
    let (sent, received) = (&messages.sent, &messages.received);
    vec![row(head), line("sent", sent), line("received", received)]
}

fn milliseconds(left: u64) -> String {
    match left % 1_000 / 100 {
        0 => format!("{} s", left / 1_000),
        tenths => format!("{}.{tenths} s", left / 1_000),
    }
}

fn join_or_dash(parts: impl Iterator<Item = String>) -> String {
    let parts: Vec<String> = parts.collect();
    match parts.is_empty() {
        true => none(),
        false => parts.join(", "),
    }
}

#[cfg(test)]
mod tests;
