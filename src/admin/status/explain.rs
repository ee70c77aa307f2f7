//! Why a service is announced as it is, or is not, in one paragraph: `sidestep explain`, `/status`.

use super::{FaultClass, Level, Neighbor, Service, ServiceFamily, SessionState, Status};

impl Status {
    /// Fills in [`ServiceFamily::explanation`] everywhere; for the publisher, as its last step.
    pub fn explain(&mut self) {
        let paragraphs: Vec<Vec<String>> = self
            .services
            .iter()
            .map(|service| {
                let families = service.families.iter();
                families
                    .map(|family| self.explanation(service, family))
                    .collect()
            })
            .collect();
        for (service, paragraphs) in self.services.iter_mut().zip(paragraphs) {
            for (family, paragraph) in service.families.iter_mut().zip(paragraphs) {
                family.explanation = paragraph;
            }
        }
    }

    /// Announced or not, at which level, to whom, since when, because of what, and what would
    /// change that.
    fn explanation(&self, service: &Service, family: &ServiceFamily) -> String {
        let announced = self.announced(family);
        let class = match family.class {
            Some(FaultClass::Local) => "local fault: ",
            Some(FaultClass::Shared) => "shared fault: ",
            Some(FaultClass::Overload) => "overload: ",
            Some(FaultClass::Operator) | None => "",
        };
        let mut text = format!("{} {} {announced}.", service.name, family.address);
        for sentence in [&format!("{class}{}", family.reason), &family.next] {
            if !sentence.is_empty() {
                text.push(' ');
                text.push_str(&capitalised(sentence));
                text.push('.');
            }
        }
        text
    }

    fn announced(&self, family: &ServiceFamily) -> String {
        let since = duration(family.level_since_s);
        let level = level_name(family.level);
        if self.lease_stale {
            return format!(
                "is announced to nobody, for health has had no fresh inputs for a second, and that \
                 withdraws everything; its level was {level}"
            );
        }
        if family.level == Level::Withdrawn {
            return format!("is not announced: it is withdrawn, for {since}");
        }
        if self.neighbors.is_empty() {
            return format!("is at level {level}, for {since}, but no neighbor is known");
        }
        let (told, untold): (Vec<_>, Vec<_>) = self
            .neighbors
            .iter()
            .partition(|neighbor| neighbor.is_told(family.address));
        let untold: Vec<String> = untold.into_iter().map(obstacle).collect();
        if told.is_empty() {
            return format!(
                "is announced to nobody, though it is at level {level}, for {since}: {}",
                untold.join("; ")
            );
        }
        let told: Vec<&str> = told.iter().map(|told| told.address.as_str()).collect();
        let mut text = format!("is announced at level {level} to {}", told.join(", "));
        if !untold.is_empty() {
            text.push_str(&format!(" (not to {})", untold.join("; ")));
        }
        text + &format!(", for {since}")
    }
}

/// Who is not told, and what is in the way.
fn obstacle(neighbor: &Neighbor) -> String {
    let (address, state) = (&neighbor.address, neighbor.state.name());
    match (&neighbor.last_error, neighbor.state) {
        (_, SessionState::Established) => {
            format!("{address}, which is Established, but does not carry this family")
        }
        (Some(error), _) => format!("{address}, which is {state}: {error}"),
        (None, _) => format!("{address}, which is {state}"),
    }
}

fn level_name(level: Level) -> &'static str {
    match level {
        Level::Preferred => "preferred",
        Level::Backup => "backup",
        Level::Withdrawn => "withdrawn",
    }
}

fn capitalised(sentence: &str) -> String {
    let mut characters = sentence.chars();
    characters.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(characters).collect()
    })
}

/// The two largest units: `3d 4h`, `2m 5s`, `7s`.
#[must_use]
pub fn duration(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m {}s", seconds % 60),
        (0, _, _) => format!("{hours}h {}m", minutes % 60),
        _ => format!("{days}d {}h", hours % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::super::example;
    use super::*;

    fn explained(change: impl FnOnce(&mut Status)) -> String {
        let mut status = example();
        change(&mut status);
        status.explain();
        status.services[0].families[0].explanation.clone()
    }

    #[test]
    fn a_healthy_service_is_explained_in_one_paragraph() {
        assert_eq!(
            explained(|_| {}),
            "resolver 10.53.53.53 is announced at level preferred to 192.0.2.1, for 1h 2m. All \
             probes are answered. Stays while nothing fails."
        );
    }

    #[test]
    fn a_fault_is_named_with_its_class_and_its_end() {
        let text = explained(|status| {
            let family = &mut status.services[0].families[0];
            family.level = Level::Withdrawn;
            family.class = Some(FaultClass::Local);
            family.reason = "worker 1 heartbeat stuck for 600 ms".into();
            family.next = "returns to backup after 5 good probes in a row".into();
            family.level_since_s = 12;
        });
        assert_eq!(
            text,
            "resolver 10.53.53.53 is not announced: it is withdrawn, for 12s. Local fault: worker 1 \
             heartbeat stuck for 600 ms. Returns to backup after 5 good probes in a row."
        );
    }

    #[test]
    fn who_is_not_told_is_named_with_what_is_in_the_way() {
        let closed = explained(|status| {
            status.neighbors[0].state = SessionState::Active;
            status.neighbors[0].last_error = Some("connection refused".into());
        });
        assert!(
            closed.starts_with(
                "resolver 10.53.53.53 is announced to nobody, though it is at level preferred, for \
                 1h 2m: 192.0.2.1, which is Active: connection refused."
            ),
            "{closed}"
        );
        let half = explained(|status| {
            let mut other = status.neighbors[0].clone();
            other.address = "192.0.2.2".into();
            other.announced.clear();
            status.neighbors.push(other);
        });
        assert!(
            half.contains("to 192.0.2.1 (not to 192.0.2.2, which is Established, but"),
            "{half}"
        );
        let nobody = explained(|status| status.neighbors.clear());
        assert!(nobody.contains("but no neighbor is known"), "{nobody}");
    }

    #[test]
    fn a_stale_lease_is_told_before_everything_else() {
        let text = explained(|status| status.lease_stale = true);
        assert!(text.contains("no fresh inputs for a second"), "{text}");
        assert!(!text.contains("is announced at"), "{text}");
    }

    #[test]
    fn durations_show_their_two_largest_units() {
        let cases = [
            (0, "0s"),
            (59, "59s"),
            (60, "1m 0s"),
            (3_599, "59m 59s"),
            (3_600, "1h 0m"),
            (86_399, "23h 59m"),
            (86_400, "1d 0h"),
            (694_861, "8d 1h"),
        ];
        for (seconds, text) in cases {
            assert_eq!(duration(seconds), text);
        }
    }
}
