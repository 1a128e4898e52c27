//! The scenarios that this project ships.

use std::path::Path;

use scenarios::load;

#[test]
fn the_scenarios_of_this_project_load_without_a_word() {
    for folder in ["mnist-rnn"] {
        let scenario = load(Path::new(folder)).unwrap_or_else(|report| panic!("{report}"));
        assert_eq!(scenario.warnings, [], "{folder}");
        assert_eq!(scenario.name, folder);
    }
}
