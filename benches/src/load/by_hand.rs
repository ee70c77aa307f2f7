//! `bench load`: one run from the command line, one line of result.
#![expect(clippy::print_stdout, reason = "the result is for the terminal")]

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use super::{Mix, Outcome, Pace, Plan, Popularity, Transport, Warmed};

/// What to ask, whom and how.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Load {
    #[arg(long)]
    target: SocketAddr,
    /// UDP sockets.
    #[arg(long, default_value_t = 4)]
    sockets: usize,
    /// So many TCP connections instead.
    #[arg(long)]
    tcp: Option<usize>,
    /// So many names are in the cache.
    #[arg(long, default_value_t = 10_000)]
    cached: u32,
    /// Draw them by Zipf's law with this exponent; evenly otherwise.
    #[arg(long)]
    zipf: Option<f64>,
    /// Ask for them all first.
    #[arg(long)]
    warm: bool,
    /// So many of a hundred questions are for new names.
    #[arg(long, default_value_t = 0)]
    new_percent: u8,
    #[arg(long, default_value_t = 0)]
    first_new: u32,
    /// Questions under way.
    #[arg(long, default_value_t = 256)]
    window: usize,
    /// So many questions a second instead.
    #[arg(long)]
    rate: Option<u32>,
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    #[arg(long, default_value_t = 1)]
    seed: u64,
    #[arg(long, default_value_t = 0)]
    core: usize,
}

impl Load {
    /// Asks, and prints what came of it.
    pub(crate) fn run(&self) -> anyhow::Result<()> {
        if self.warm {
            let Warmed {
                answered,
                missing,
                elapsed,
            } = super::warm(self.target, 0..self.cached)?;
            let missing = missing.len();
            println!("warm: {answered} answered, {missing} missing, {elapsed:.2?}");
        }
        println!("{}", self.line(&super::run(&self.plan()?)?));
        Ok(())
    }

    fn plan(&self) -> io::Result<Plan> {
        Ok(Plan {
            target: self.target,
            transport: match self.tcp {
                Some(connections) => Transport::Tcp { connections },
                None => Transport::Udp {
                    sockets: self.sockets,
                },
            },
            mix: Mix {
                cached: 0..self.cached,
                popularity: self.zipf.map_or(Popularity::Uniform, Popularity::Zipf),
                new_percent: self.new_percent,
                first_new: self.first_new,
            },
            pace: self.rate.map_or(Pace::Window(self.window), Pace::Rate),
            time: Duration::try_from_secs_f64(self.seconds)
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?,
            seed: self.seed,
            core: self.core,
        })
    }

    fn line(&self, outcome: &Outcome) -> String {
        let Outcome {
            sent,
            answered,
            wrong,
            lost,
            elapsed,
            latency,
            next_new,
            cached,
        } = outcome;
        format!(
            "{sent} sent, {answered} answered ({} cached), {wrong} wrong, {lost} lost, {:.0}/s, \
             p50 {:.1?} p99 {:.1?} p99.9 {:.1?}, next new name {next_new}",
            cached.answered,
            *answered as f64 / elapsed.as_secs_f64(),
            latency.p50(),
            latency.p99(),
            latency.p999(),
        )
    }
}
