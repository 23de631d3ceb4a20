//! What both programs use.

pub mod poll;
