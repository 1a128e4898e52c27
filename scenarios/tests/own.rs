//! The scenarios that this project ships.

use std::path::Path;

use scenarios::load;

#[test]
fn the_scenarios_of_this_project_load_without_a_word() {
    for name in ["mnist-rnn", "mnist-distributed"] {
        let scenario = load(Path::new(name)).unwrap_or_else(|report| panic!("{report}"));
        assert_eq!(scenario.warnings, []);
        assert_eq!(scenario.name, name);
    }
}
