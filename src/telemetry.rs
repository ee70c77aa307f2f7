//! Log subscriber and metrics registry.
