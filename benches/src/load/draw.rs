//! Which name is asked for next.
//!
//! Source: Hörmann and Derflinger, "Rejection-inversion to generate variates from monotone discrete
//! distributions", 1996 (Zipf's distribution without a table).

use std::ops::Range;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use super::{Mix, Popularity};
use crate::names::{Kind, NUMBERS};

/// Where names come from.
pub(super) trait Source {
    /// The next name; `None` when there is no more.
    fn next(&mut self) -> Option<(Kind, u32)>;

    /// Is told each address that was answered rightly.
    fn answered(&mut self, address: [u8; 4]);
}

/// Draws from a [`Mix`].
pub(super) struct Draw {
    random: SmallRng,
    cached: Range<u32>,
    zipf: Option<Zipf>,
    new_percent: u32,
    next_new: u32,
}

impl Draw {
    pub(super) fn new(mix: &Mix, seed: u64) -> Self {
        let count = mix.cached.end.saturating_sub(mix.cached.start);
        Self {
            random: SmallRng::seed_from_u64(seed),
            cached: mix.cached.clone(),
            zipf: match mix.popularity {
                Popularity::Uniform => None,
                Popularity::Zipf(exponent) => Some(Zipf::new(count, exponent)),
            },
            new_percent: mix.new_percent.into(),
            next_new: mix.first_new,
        }
    }

    /// The first new name that was not asked for.
    pub(super) fn next_new(&self) -> u32 {
        self.next_new
    }

    /// Evenly from 0 to below `end`.
    fn below(&mut self, end: u32) -> u32 {
        // 32 random bits times the end, whose upper half is below the end.
        ((u64::from(self.random.next_u32()) * u64::from(end)) >> 32) as u32
    }
}

impl Source for Draw {
    fn next(&mut self) -> Option<(Kind, u32)> {
        let new = match self.new_percent {
            0 => false,
            100 => true,
            percent => self.below(100) < percent,
        };
        if new {
            let number = self.next_new;
            if number == NUMBERS {
                return None;
            }
            self.next_new += 1;
            return Some((Kind::New, number));
        }
        let place = match &self.zipf {
            None => self.below(self.cached.end - self.cached.start),
            Some(zipf) => zipf.draw(&mut self.random) - 1,
        };
        Some((Kind::Cached, self.cached.start + place))
    }

    fn answered(&mut self, _: [u8; 4]) {}
}

/// Numbers from 1 to `count`, the n-th as often as n to the power of minus `exponent`.
struct Zipf {
    count: f64,
    exponent: f64,
    first: f64,
    last: f64,
    sure: f64,
}

impl Zipf {
    fn new(count: u32, exponent: f64) -> Self {
        let mut zipf = Self {
            count: count.into(),
            exponent,
            first: 0.0,
            last: 0.0,
            sure: 0.0,
        };
        zipf.first = zipf.integral(1.5) - 1.0;
        zipf.last = zipf.integral(zipf.count + 0.5);
        zipf.sure = 2.0 - zipf.inverse(zipf.integral(2.5) - zipf.density(2.0));
        zipf
    }

    fn draw(&self, random: &mut impl Rng) -> u32 {
        loop {
            let share = random.next_u32() as f64 / f64::from(u32::MAX);
            let area = self.last + share * (self.first - self.last);
            let exact = self.inverse(area);
            let number = exact.round().clamp(1.0, self.count);
            if number - exact <= self.sure
                || area >= self.integral(number + 0.5) - self.density(number)
            {
                return number as u32;
            }
        }
    }

    fn density(&self, x: f64) -> f64 {
        x.powf(-self.exponent)
    }

    /// Of the density.
    fn integral(&self, x: f64) -> f64 {
        let power = 1.0 - self.exponent;
        if power == 0.0 {
            x.ln()
        } else {
            (x.powf(power) - 1.0) / power
        }
    }

    /// Of the integral.
    fn inverse(&self, area: f64) -> f64 {
        let power = 1.0 - self.exponent;
        if power == 0.0 {
            area.exp()
        } else {
            (1.0 + power * area).powf(1.0 / power)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mix(popularity: Popularity, new_percent: u8) -> Mix {
        Mix {
            cached: 100..200,
            popularity,
            new_percent,
            first_new: 7,
        }
    }

    #[test]
    fn cached_names_are_drawn_evenly_and_all() {
        let mut draw = Draw::new(&mix(Popularity::Uniform, 0), 1);
        let mut counts = [0_u32; 100];
        for _ in 0..100_000 {
            let (kind, number) = draw.next().unwrap();
            assert_eq!(kind, Kind::Cached);
            counts[number as usize - 100] += 1;
        }
        assert!(counts.iter().all(|count| (800..1_200).contains(count)));
    }

    #[test]
    fn the_first_name_is_as_popular_as_zipf_says() {
        for exponent in [0.9, 1.0, 1.2] {
            let weights: Vec<f64> = (1..=100).map(|n| f64::from(n).powf(-exponent)).collect();
            let total: f64 = weights.iter().sum();
            let mut draw = Draw::new(&mix(Popularity::Zipf(exponent), 0), 2);
            let mut counts = [0.0; 100];
            for _ in 0..200_000 {
                counts[draw.next().unwrap().1 as usize - 100] += 1.0;
            }
            for place in [0, 1, 9, 49] {
                let expected = 200_000.0 * weights[place] / total;
                let off: f64 = counts[place] - expected;
                assert!(off.abs() < 5.0 * expected.sqrt(), "{exponent} {place}");
            }
        }
    }

    #[test]
    fn new_names_come_in_order_and_as_often_as_asked() {
        let mut draw = Draw::new(&mix(Popularity::Uniform, 10), 3);
        let drawn: Vec<_> = (0..10_000).filter_map(|_| draw.next()).collect();
        let new: Vec<_> = drawn
            .iter()
            .filter(|(kind, _)| *kind == Kind::New)
            .collect();
        assert!((900..1_100).contains(&new.len()), "{}", new.len());
        assert!(new.iter().zip(7..).all(|((_, number), n)| *number == n));
        assert_eq!(draw.next_new(), 7 + new.len() as u32);
        draw.next_new = NUMBERS;
        assert!((0..1_000).any(|_| draw.next().is_none()), "no more names");
    }

    #[test]
    fn the_same_seed_draws_the_same() {
        let drawn = |seed| {
            let mut draw = Draw::new(&mix(Popularity::Zipf(1.0), 10), seed);
            (0..100).map(|_| draw.next()).collect::<Vec<_>>()
        };
        assert_eq!(drawn(1), drawn(1));
        assert_ne!(drawn(1), drawn(2));
    }
}
