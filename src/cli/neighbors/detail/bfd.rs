//! A BFD session for people.

use super::Fact;
use crate::admin::status::neighbor::{BfdPackets, BfdSession, BfdSide, Diagnostic};
use crate::cli::layout::{duration, none};

/// In the order of their weight.
pub(super) fn facts(session: &BfdSession) -> Vec<Fact> {
    let mut facts = vec![
        ("bfd", state(session)),
        ("bfd local", side(&session.local)),
        ("bfd remote", side(&session.remote)),
        ("bfd agreed", agreed(session)),
        ("bfd measured", measured(session)),
        ("bfd packets", packets(&session.packets)),
    ];
    if session.held_down {
        let text = "the node keeps it down until it is fit again";
        facts.push(("bfd held", text.to_owned()));
    }
    facts
}

fn state(session: &BfdSession) -> String {
    let (state, since) = (session.local.state.name(), duration(session.since_s));
    let mut text = format!(
        "{state} for {since}, up {}x, lost {}x",
        session.ups, session.downs
    );
    if session.last_loss.code != 0 {
        text.push_str(&format!(", last for: {}", session.last_loss.name));
    }
    text
}

fn side(side: &BfdSide) -> String {
    let Some(discriminator) = side.discriminator else {
        return "never heard".to_owned();
    };
    let Diagnostic { code, name } = &side.diagnostic;
    let state = side.state.name();
    let multiplier = side.multiplier.unwrap_or_default();
    format!(
        "{state}, sends {} x {multiplier}, takes {}, discriminator {discriminator}, diagnostic {code} \
         ({name})",
        time(side.desired_transmit_us),
        time(side.required_receive_us),
    )
}

fn agreed(session: &BfdSession) -> String {
    format!(
        "sent every {}, lost after {}",
        time(session.transmit_interval_us),
        time(session.detection_time_us),
    )
}

fn measured(session: &BfdSession) -> String {
    format!(
        "received every {}, longest {}",
        time(session.receive_interval_us),
        time(session.receive_interval_max_us),
    )
}

fn time(us: Option<u64>) -> String {
    us.map_or_else(none, milliseconds)
}

fn packets(packets: &BfdPackets) -> String {
    let BfdPackets {
        sent,
        received,
        rejected,
    } = packets;
    format!("{sent} sent, {received} received, {rejected} rejected")
}

fn milliseconds(us: u64) -> String {
    match us % 1_000 / 100 {
        0 => format!("{} ms", us / 1_000),
        tenths => format!("{}.{tenths} ms", us / 1_000),
    }
}
