//! How long requests waited.

/// Percentiles in microseconds.
pub(crate) struct Waits {
    pub(crate) p50: f64,
    pub(crate) p99: f64,
}

impl Waits {
    /// Those of what each request took.
    pub(crate) fn of(mut micros: Vec<f64>) -> Self {
        micros.sort_by(f64::total_cmp);
        let at = |share: f64| micros.get((micros.len() as f64 * share) as usize).copied().unwrap();
        Self { p50: at(0.5), p99: at(0.99) }
    }
}
