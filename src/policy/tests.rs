//! What policies decide, held against Cedar alone: the whole set, the whole values.

mod catalogs;
mod corpus;
mod hostile;
mod links;
mod numbers;
mod overlays;
mod projection;
pub(in crate::policy) mod random;
mod slicing;
mod validation;
mod values;
pub(in crate::policy) mod world;
mod worlds;
