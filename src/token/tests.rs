//! Tests of the whole path from a token to a principal.
