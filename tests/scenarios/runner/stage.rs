//! One scenario, step by step: the node is real but for its sockets, the rest is simulated.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fs;
use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fake_upstream::words::duration;
use sidestep::config::{self, Config, LoadOptions};
use sidestep::dns::hash_key::HashKey;
use sidestep::dns::identity::ProbeName;
use sidestep::dns::listener::rehearsal::{Rehearsal, Said};
use sidestep::dns::request::Transport;
use sidestep::dns::serve::Worker;
use sidestep::dns::shared::Shared;
use sidestep::dns::upstream::{ResolvedZone, Upstreams};
use sidestep::dns::{UpstreamAddress, ZoneAction};

use super::Failure;
use super::ask::Ask;
use super::expect::{Answered, check};
use super::message::Message;
use super::text::{Scenario, Step};
use super::upstreams;
use super::world::{Handle, World};

/// An answer that has not come by then will not come.
const PATIENCE: Duration = Duration::from_secs(10);
/// The time of the clock at the start: 2026-11-01.
const UNIX_TIME_S: u64 = 1_793_491_200;
/// Above the node itself and its services; `upstream a` is 192.0.2.1, b .2, and so on.
const CONFIG: &str = r#"
[node]
name = "node-1"
[dns]
listen = ["127.0.0.1:5300"]
workers = 1
[dns.cache]
size = "2MiB"
[admin]
socket = "none"
"#;

/// Plays a scenario from its first step to its last.
pub(crate) fn play(scenario: &Scenario, is_shown: bool) -> Result<(), Failure> {
    let fail = |line, text| Failure {
        file: scenario.file.clone(),
        line,
        text,
    };
    let mut stage = Stage::set(scenario).map_err(|text| fail(scenario.line, text))?;
    stage.is_shown = is_shown;
    for step in &scenario.steps {
        stage.act(step).map_err(|text| fail(step.line, text))?;
    }
    stage
        .advance(PATIENCE)
        .map_err(|text| fail(scenario.line, text))?;
    let unexpected = stage.groups.front();
    unexpected.map_or(Ok(()), |group| {
        Err(fail(group.line, "say what to expect of this".to_owned()))
    })
}

struct Stage {
    shared: Arc<Shared>,
    world: Rc<RefCell<World>>,
    rehearsal: Rehearsal<Handle>,
    start: Instant,
    now: Instant,
    asked: Vec<Asked>,
    /// What is to be asked with the next question.
    course: Vec<(usize, Ask)>,
    /// What has been asked and not been looked at yet.
    groups: VecDeque<Group>,
    cookie: Vec<u8>,
    is_shown: bool,
}

/// Questions of one `ask`.
struct Group {
    line: usize,
    numbers: Vec<usize>,
}

impl Group {
    fn new(line: usize) -> Self {
        Self {
            line,
            numbers: Vec::new(),
        }
    }
}

struct Asked {
    message: Vec<u8>,
    transport: Transport,
    at: Instant,
    answer: Option<(Instant, Vec<u8>)>,
    /// There will be no answer.
    is_dropped: bool,
}

impl Stage {
    fn set(scenario: &Scenario) -> Result<Self, String> {
        let cast = upstreams::cast(scenario)?;
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let config = configure(scenario, &cast.zones_text(scenario), folder.path())?;
        let start = Instant::now();
        let settings = &config.dns;
        let forwarded = settings
            .zones
            .iter()
            .filter(|zone| zone.action == ZoneAction::Forward);
        let zones: Vec<ResolvedZone> = forwarded
            .map(|zone| ResolvedZone {
                zone: zone.zone.clone(),
                zone_text: zone.zone_text.clone(),
                critical: zone.critical,
                upstreams: sockets(&zone.upstreams),
                siblings: sockets(&zone.last_resort),
                own_siblings: Vec::new(),
                dialect: zone.dialect,
                unresolved: Vec::new(),
            })
            .collect();
        let siblings: Vec<IpAddr> = zones
            .iter()
            .flat_map(|zone| &zone.siblings)
            .map(|at| at.ip())
            .collect();
        let shared = Shared::new(settings, ProbeName::new([7; 16]), start).with_siblings(siblings);
        shared.tell_unix_time(UNIX_TIME_S);
        let shared = Arc::new(shared);
        let upstreams = Arc::new(Upstreams::with_key(&zones, start, HashKey::numbered(1)));
        // The same scenario does the same each time. Upstreams, which may forge, have other seeds.
        let world = World::new(upstreams, cast.actors(), 0x5EED, start);
        let world = Rc::new(RefCell::new(world));
        let worker = Worker::new(0, Arc::clone(&shared)).ok_or("no worker")?;
        Ok(Self {
            rehearsal: Rehearsal::new(worker, Handle(Rc::clone(&world)), start),
            shared,
            world,
            start,
            now: start,
            asked: Vec::new(),
            course: Vec::new(),
            groups: VecDeque::new(),
            cookie: Vec::new(),
            is_shown: false,
        })
    }

    fn act(&mut self, step: &Step) -> Result<(), String> {
        match step.word.as_str() {
            "config" | "hosts" | "sibling" => Ok(()),
            "upstream" => self.follow(step),
            "ask" => self.ask(step),
            "pass" => self.advance(duration(&step.rest)?),
            "expect" => self.expect(&step.joined()),
            "expect-upstream" => {
                let mut world = self.world.borrow_mut();
                upstreams::check(&mut world.actors, &step.joined())
            }
            "drain" => {
                self.shared.tell_draining(true);
                Ok(())
            }
            other => Err(format!("what is {other:?}?")),
        }
    }

    /// From now on an upstream does something else.
    fn follow(&mut self, step: &Step) -> Result<(), String> {
        let script = upstreams::script(step)?;
        let mut world = self.world.borrow_mut();
        let name = step.rest.split(' ').next().unwrap_or_default();
        let actor = world.actors.iter_mut().find(|actor| actor.name == name);
        actor
            .ok_or("there is no such upstream")?
            .play
            .follow(script);
        Ok(())
    }

    /// Those that say `meanwhile` are asked while the next one is.
    fn ask(&mut self, step: &Step) -> Result<(), String> {
        let ask = Ask::parse(&step.joined())?;
        let waits_for_more = ask.is_meanwhile;
        self.course.push((step.line, ask));
        if waits_for_more {
            return Ok(());
        }
        let course = std::mem::take(&mut self.course);
        let mut plan = Vec::new();
        for (index, (_, ask)) in course.iter().enumerate() {
            plan.extend((0..ask.times).map(|n| (ask.gap * n, index, n)));
        }
        plan.sort_unstable();
        let mut groups: Vec<Group> = Vec::new();
        groups.extend(course.iter().map(|(line, _)| Group::new(*line)));
        let start = self.now;
        for (at, index, n) in plan {
            self.advance(at.saturating_sub(self.now - start))?;
            groups[index].numbers.push(self.asked.len());
            self.ask_one(&course[index].1, n)?;
        }
        let longest = course.iter().map(|(_, ask)| ask.gap * ask.times).max();
        self.advance(longest.unwrap_or_default().saturating_sub(self.now - start))?;
        self.groups.extend(groups);
        Ok(())
    }

    fn ask_one(&mut self, ask: &Ask, n: u32) -> Result<(), String> {
        let number = self.asked.len();
        let message = ask.build(n, &self.cookie)?;
        let client = (ask.client(n)?, ask.transport);
        self.show("client asks", &message);
        let said = self.rehearsal.ask(number, &message, client, self.now);
        self.asked.push(Asked {
            message,
            transport: ask.transport,
            at: self.now,
            answer: None,
            is_dropped: matches!(said, Said::Nothing | Said::TooSoon),
        });
        match said {
            Said::Answer(answer) => self.take(number, answer),
            Said::Nothing | Said::TooSoon | Said::Later => Ok(()),
        }
    }

    fn take(&mut self, number: usize, answer: Vec<u8>) -> Result<(), String> {
        self.show("client hears", &answer);
        if let Ok(message) = Message::decode(&answer)
            && let Some(cookie) = message.options(10).next()
        {
            self.cookie = cookie.to_vec();
        }
        let now = self.now;
        let asked = self
            .asked
            .get_mut(number)
            .ok_or("an answer to no question")?;
        if asked.is_dropped || asked.answer.replace((now, answer)).is_some() {
            return Err(format!("question {number} is answered again"));
        }
        Ok(())
    }

    #[expect(
        clippy::print_stdout,
        reason = "whoever names a scenario wants to see it"
    )]
    fn show(&self, what: &str, message: &[u8]) {
        if self.is_shown {
            let at = self.now - self.start;
            match Message::decode(message) {
                Ok(message) => println!("{at:?} {what}:\n{message}"),
                Err(error) => println!("{at:?} {what}: {error}"),
            }
        }
    }

    /// Lets time pass, with all that happens meanwhile.
    fn advance(&mut self, time: Duration) -> Result<(), String> {
        let end = self.now + time;
        while self.step(end)? {}
        self.now = end;
        self.tell_time();
        Ok(())
    }

    /// Goes to the next moment at which something is due; whether there is one until `end`.
    fn step(&mut self, end: Instant) -> Result<bool, String> {
        let due = self.world.borrow().next_due();
        let Some(due) = due.filter(|due| *due <= end) else {
            return Ok(false);
        };
        self.now = self.now.max(due);
        self.tell_time();
        let mut answers = Vec::new();
        let _ = self
            .rehearsal
            .hear(self.now, |number, answer| answers.push((number, answer)));
        for (number, answer) in answers {
            self.take(number, answer)?;
        }
        let problem = self.world.borrow_mut().problem.take();
        problem.map_or(Ok(true), Err)
    }

    fn tell_time(&self) {
        let passed = (self.now - self.start).as_secs();
        self.shared.tell_unix_time(UNIX_TIME_S + passed);
    }

    fn expect(&mut self, text: &str) -> Result<(), String> {
        let group = self.groups.front().ok_or("nothing has been asked")?;
        let numbers = group.numbers.clone();
        if text == "nothing yet" {
            let mut asked = numbers.iter().map(|number| &self.asked[*number]);
            let early = asked.any(|asked| asked.answer.is_some());
            return if early {
                Err("there is an answer already".to_owned())
            } else {
                Ok(())
            };
        }
        self.groups.pop_front();
        let (share, text) = match text
            .strip_prefix("at least ")
            .and_then(|rest| rest.split_once("%, "))
        {
            Some((percent, rest)) => (percent.parse().map_err(|_| "no percentage")?, rest),
            None => (100, text),
        };
        let mut good = 0;
        let mut problem = None;
        let count = numbers.len();
        for number in numbers {
            match self.expect_one(number, text) {
                Ok(()) => good += 1,
                Err(text) => problem = problem.or(Some(text)),
            }
        }
        match problem {
            Some(text) if good * 100 < share * count => Err(format!(
                "{good} of {count} are as expected; the first that is not: {text}"
            )),
            _ => Ok(()),
        }
    }

    fn expect_one(&mut self, number: usize, text: &str) -> Result<(), String> {
        let end = self.asked[number].at + PATIENCE;
        while self.asked[number].answer.is_none() && !self.asked[number].is_dropped {
            if !self.step(end)? {
                break;
            }
        }
        let asked = &self.asked[number];
        match (&asked.answer, text) {
            (None, "no answer") => Ok(()),
            (None, _) => Err("there is no answer".to_owned()),
            (Some(_), "no answer") => Err("there is an answer".to_owned()),
            (Some((at, answer)), text) => {
                let answered = Answered {
                    question: &asked.message,
                    transport: asked.transport,
                    answer,
                    took: *at - asked.at,
                };
                check(text, &answered)
            }
        }
    }
}

fn sockets(addresses: &[UpstreamAddress]) -> Vec<std::net::SocketAddr> {
    let sockets = addresses.iter().filter_map(|address| match address {
        UpstreamAddress::Socket(socket) => Some(*socket),
        UpstreamAddress::Host { .. } | UpstreamAddress::System => None,
    });
    sockets.collect()
}

/// Has the real configuration code read what the scenario says, as an overlay.
fn configure(scenario: &Scenario, zones: &str, folder: &Path) -> Result<Config, String> {
    let mut overlay = String::new();
    for step in scenario.steps.iter().filter(|step| step.word == "config") {
        overlay.push_str(&format!("{}\n{}\n", step.rest, step.block.join("\n")));
    }
    let overlay = overlay.replace("$FOLDER", &folder.to_string_lossy());
    let wrong = |error: std::io::Error| error.to_string();
    let overlays = folder.join("conf.d");
    fs::create_dir(&overlays).map_err(wrong)?;
    let file = folder.join("sidestep.toml");
    fs::write(&file, format!("{CONFIG}{zones}")).map_err(wrong)?;
    fs::write(overlays.join("scenario.toml"), overlay).map_err(wrong)?;
    upstreams::write_files(scenario, folder).map_err(wrong)?;
    let options = LoadOptions {
        file: Some(file),
        default_file: folder.join("none"),
        environment: Vec::new(),
        host_name: "node-1".to_owned(),
        processors: NonZeroUsize::MIN,
    };
    config::load(&options).map_err(|errors| {
        let lines: Vec<_> = errors.iter().map(ToString::to_string).collect();
        format!("the configuration is refused: {}", lines.join("; "))
    })
}
