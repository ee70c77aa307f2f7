//! Programs that answer for services in this node's place: what they are asked, in the words of the
//! prober and of the checks.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use super::StartError;
use crate::announce::ServiceSettings;
use crate::config::{Config, TargetSettings};
use crate::dns::inquiry::{self, Inquiry};
use crate::health::check::{CheckKind, CheckSettings, Names};
use crate::health::prober::another::Another;
use crate::health::question::Question;
use crate::health::{AnsweredBy, Family, Target};

/// Between two rounds of a target's names.
const NAMES_INTERVAL: Duration = Duration::from_secs(2);
/// For each name. A round ends before the next is due, though its names are not asked for all at once: so
/// that a fault is told with the third round, and not when three have outlasted their time.
const NAMES_LIMIT: Duration = Duration::from_secs(1);

/// Refuses a target where this node itself listens, and tells of one that is not on this host.
/// Service addresses are bound later.
pub(super) fn examine(config: &Config, own: &[SocketAddr]) -> Result<(), StartError> {
    for target in &config.targets {
        let service = config.services.get(target.service);
        let service = service.map_or("", |service| service.name.as_str());
        for address in &target.addresses {
            if own.contains(address) {
                return Err(StartError::TargetIsOwn {
                    service: service.to_owned(),
                    address: *address,
                });
            }
            let is_bound_by_us = is_of_service(address.ip(), &config.services);
            if !is_bound_by_us && is_elsewhere(address.ip()) {
                tracing::warn!(
                    service,
                    target = %address,
                    "the target is no address of this host: the state of another host will \
                     decide on this node's routes"
                );
            }
        }
    }
    Ok(())
}

/// Everything that the prober is to ask: of each address of such services the target of its family,
/// or the only one there is.
pub(super) fn probed(config: &Config) -> Vec<Another> {
    let mut probed = Vec::new();
    for target in &config.targets {
        let Some(service) = config.services.get(target.service) else {
            continue;
        };
        for address in &service.addresses {
            let family = Family::of(*address);
            let same = target
                .addresses
                .iter()
                .find(|at| Family::of(at.ip()) == family);
            let Some(at) = same.or(target.addresses.first()) else {
                continue;
            };
            probed.push(Another {
                target: Target {
                    service: target.service,
                    family,
                },
                address: *at,
                source: source(at.ip(), &config.services),
                tcp: target.tcp,
                question: match &target.probe {
                    Some(probe) => question(probe, inquiry::is_resolved),
                    // Whatever it says: that it says something is what is wanted.
                    None => question(&Inquiry::default(), |_| true),
                },
            });
        }
    }
    probed
}

/// Every check of the node: those that are configured, and the names of targets.
pub(super) fn checks(config: &Config) -> Vec<CheckSettings> {
    let mut checks = config.checks.clone();
    for target in config
        .targets
        .iter()
        .filter(|target| !target.names.is_empty())
    {
        let Some(service) = config.services.get(target.service) else {
            continue;
        };
        checks.push(CheckSettings {
            service: target.service,
            // The last one: see the check of the configuration.
            check: service.checks.len().saturating_sub(1),
            kind: CheckKind::Names(names(target, &config.services)),
            interval: NAMES_INTERVAL,
            timeout: NAMES_LIMIT,
        });
    }
    checks
}

fn names(target: &TargetSettings, services: &[ServiceSettings]) -> Names {
    let servers = target.addresses.iter();
    let questions = target.names.iter();
    Names {
        servers: servers
            .map(|address| (*address, source(address.ip(), services)))
            .collect(),
        questions: questions
            .map(|name| question(name, inquiry::is_resolved))
            .collect(),
        needed: target.names_needed,
    }
}

fn question(
    inquiry: &Inquiry,
    is_good: impl Fn(crate::dns::code::Rcode) -> bool + Send + Sync + 'static,
) -> Question {
    let text = Arc::from(inquiry.text());
    let inquiry = inquiry.clone();
    Question {
        text,
        query: Arc::new(move |id| inquiry.message(id, rand::random())),
        judge: Arc::new(move |asked, reply| {
            let rcode = inquiry::rcode(asked, reply)?;
            Some(match is_good(rcode) {
                true => Ok(()),
                false => Err(inquiry::name_of(rcode)),
            })
        }),
    }
}

/// The loopback address, where that reaches it: a question from a service address to itself would
/// prove less, and an answer to it may leave the host.
fn source(target: IpAddr, services: &[ServiceSettings]) -> Option<IpAddr> {
    let is_near = target.is_loopback() || is_of_service(target, services);
    is_near.then_some(match target {
        IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    })
}

fn is_of_service(address: IpAddr, services: &[ServiceSettings]) -> bool {
    let mut services = services.iter();
    services.any(|service| service.addresses.contains(&address))
}

/// Whether the kernel says that it is on none of its interfaces.
fn is_elsewhere(address: IpAddr) -> bool {
    let bound = UdpSocket::bind(SocketAddr::new(address, 0));
    bound.is_err_and(|error| error.kind() == io::ErrorKind::AddrNotAvailable)
}

/// Whether workers of this node answer for a target.
pub(super) fn is_answered_here(services: &[ServiceSettings], target: Target) -> bool {
    let service = services.get(target.service);
    service.is_none_or(|service| service.answered_by == AnsweredBy::Workers)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::announce::tests::service;

    fn guarded(targets: &[&str]) -> Vec<(Family, SocketAddr, Option<IpAddr>)> {
        let options = crate::config::LoadOptions {
            file: None,
            default_file: "/nonexistent".into(),
            environment: Vec::new(),
            host_name: "ams1".to_owned(),
            processors: std::num::NonZeroUsize::MIN,
        };
        let config = crate::config::load(&options).unwrap();
        let config = Config {
            targets: vec![TargetSettings {
                service: 0,
                addresses: targets.iter().map(|text| text.parse().unwrap()).collect(),
                tcp: true,
                probe: None,
                names: Vec::new(),
                names_needed: 1,
            }],
            services: vec![ServiceSettings {
                answered_by: AnsweredBy::Another,
                ..service()
            }],
            ..config
        };
        let probed = probed(&config).into_iter();
        probed
            .map(|another| (another.target.family, another.address, another.source))
            .collect()
    }

    #[test]
    fn each_family_is_judged_by_its_own_target_or_by_the_only_one() {
        let at = |text: &str| -> SocketAddr { text.parse().unwrap() };
        let from = |text: &str| -> Option<IpAddr> { Some(text.parse().unwrap()) };
        let only = ["127.0.0.9:5353"];
        assert_eq!(
            guarded(&only),
            [
                (Family::V4, at(only[0]), from("127.0.0.1")),
                (Family::V6, at(only[0]), from("127.0.0.1")),
            ]
        );
        let both = ["[fd53::53]:53", "192.0.2.7:53"];
        assert_eq!(
            guarded(&both),
            [
                (Family::V4, at(both[1]), None),
                (Family::V6, at(both[0]), from("::1")),
            ]
        );
    }

    #[test]
    fn any_answer_shows_life_and_only_a_resolved_name_shows_more() {
        let asked = Inquiry::default().message(7, 0);
        let mut refused = asked.clone();
        refused[2] |= 0x80;
        refused[3] = 5;
        let life = question(&Inquiry::default(), |_| true);
        assert_eq!((life.judge)(&asked, &refused), Some(Ok(())));
        let more = question(&Inquiry::default(), inquiry::is_resolved);
        let told = Some(Err("REFUSED".to_owned()));
        assert_eq!((more.judge)(&asked, &refused), told);
        assert_eq!((more.judge)(&asked, &asked), None);
    }
}
