//! `sidestep check` on files: each broken one in `tests/check` gives just what stands beside it.
#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const DIRECTORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/check");
const EXAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples");

fn check(directory: &str, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_sidestep"))
        .arg("check")
        .args(arguments)
        .current_dir(directory)
        .env_clear()
        .envs(environment.iter().copied())
        .output()
        .unwrap()
}

fn toml_files(directory: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).unwrap();
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "toml")
        })
        .collect();
    files.sort();
    files
}

fn name(path: &Path) -> &str {
    path.file_name().unwrap().to_str().unwrap()
}

fn text(octets: &[u8]) -> &str {
    std::str::from_utf8(octets).unwrap()
}

/// Whether a line begins with `file:line:column: error: ` or the same for a warning.
fn has_a_place(line: &str, file: &str) -> bool {
    let Some(rest) = line
        .strip_prefix(file)
        .and_then(|rest| rest.strip_prefix(':'))
    else {
        return false;
    };
    let parts: Vec<&str> = rest.splitn(3, ':').collect();
    let [line, column, rest] = parts[..] else {
        return false;
    };
    let counts_from_one = |number: &str| number.parse().is_ok_and(|number: usize| number >= 1);
    counts_from_one(line)
        && counts_from_one(column)
        && (rest.starts_with(" error: ") || rest.starts_with(" warning: "))
}

#[test]
fn each_broken_file_gives_the_errors_that_stand_beside_it() {
    let files = toml_files(DIRECTORY);
    assert!(files.len() >= 10, "only {} broken files", files.len());
    for file in files {
        let output = check(DIRECTORY, &[name(&file)], &[]);
        let expected = fs::read_to_string(file.with_extension("txt")).unwrap();
        assert_eq!(text(&output.stderr), expected, "{}", file.display());
        assert_eq!(output.status.code(), Some(1), "{}", file.display());
        assert!(output.stdout.is_empty());
        assert!(expected.contains(": error: "));
        for line in expected.lines() {
            assert!(has_a_place(line, name(&file)), "{line}");
        }
    }
}

#[test]
fn every_example_is_good_and_says_so_without_a_warning() {
    let files = toml_files(EXAMPLES);
    assert!(files.len() >= 3);
    for file in files {
        let output = check(EXAMPLES, &[name(&file)], &[]);
        assert_eq!(text(&output.stderr), "", "{}", file.display());
        assert_eq!(output.status.code(), Some(0));
        let summary = text(&output.stdout);
        assert!(
            summary.starts_with(&format!("{}: good: ", name(&file))),
            "{summary}"
        );
    }
}

#[test]
fn the_summary_counts_services_upstreams_and_neighbors() {
    let output = check(EXAMPLES, &["anycast.toml"], &[]);
    let expected = "anycast.toml: good: 2 services, 6 upstreams, 2 neighbors\n";
    assert_eq!(text(&output.stdout), expected);
    let output = check(EXAMPLES, &["minimal.toml"], &[]);
    let expected = "minimal.toml: good: 1 service, 1 upstream, 1 neighbor\n";
    assert_eq!(text(&output.stdout), expected);
}

#[test]
fn errors_of_overlays_and_environment_name_their_source() {
    let environment = [
        ("SIDESTEP_HEALTH__RISE", "many"),
        ("SIDESTEP_DNS__CACH__SIZE", "1GiB"),
        ("SIDESTEP_NODE_NAME", "forgotten"),
        ("SIDESTEP_SERVICE_HOST", "10.96.0.1"),
    ];
    let output = check(DIRECTORY, &["overlay/sidestep.toml"], &environment);
    let expected = fs::read_to_string(Path::new(DIRECTORY).join("overlay/expected.txt")).unwrap();
    assert_eq!(text(&output.stderr), expected);
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn the_environment_can_mend_a_file() {
    let environment = [("SIDESTEP_BGP__HOLD_TIME", "3s")];
    assert_eq!(
        check(DIRECTORY, &["hold_time.toml"], &environment)
            .status
            .code(),
        Some(0)
    );
}

#[test]
fn a_named_file_must_exist() {
    let output = check(DIRECTORY, &["none.toml"], &[]);
    assert_eq!(output.status.code(), Some(1));
    let error = text(&output.stderr);
    assert!(
        error.starts_with("none.toml: error: check path and permissions: "),
        "{error}"
    );
    assert_eq!(error.lines().count(), 1);
}

#[test]
fn a_file_that_is_not_utf_8_is_refused_with_the_place() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(
        directory.path().join("latin.toml"),
        b"[node]\nname = \"K\xf6ln\"\n",
    )
    .unwrap();
    let output = check(directory.path().to_str().unwrap(), &["latin.toml"], &[]);
    assert_eq!(output.status.code(), Some(1));
    let error = text(&output.stderr);
    assert!(
        error.starts_with("latin.toml:2:10: error: save the file as UTF-8"),
        "{error}"
    );
}

/// Checks a node with a file of cookie secrets of these octets and mode; what it complains about.
fn check_secrets(octets: impl AsRef<[u8]>, mode: u32) -> String {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("cookie.key");
    fs::write(&file, octets).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
    let node = format!("dns.listen = [\"127.0.0.1\"]\ndns.cookie_secret_file = {file:?}\n");
    fs::write(directory.path().join("node.toml"), node).unwrap();
    let output = check(directory.path().to_str().unwrap(), &["node.toml"], &[]);
    let told = text(&output.stderr).to_owned();
    assert_eq!(output.status.success(), told.is_empty(), "{told}");
    told
}

#[test]
fn secrets_of_cookies_are_for_the_node_alone() {
    let secret = "e5e973e5a6b2a43f48e7dc849e37bfcf";
    for mode in [0o600, 0o640, 0o400] {
        assert_eq!(check_secrets(secret, mode), "");
    }
    for mode in [0o644, 0o602, 0o601] {
        let told = check_secrets(secret, mode);
        assert!(
            told.starts_with("node.toml:2:26: error: dns.cookie_secret_file: "),
            "{told}"
        );
        assert!(told.contains("run chmod o= /"), "{told}");
    }
    let told = check_secrets(&secret[2..], 0o600);
    assert!(told.contains("32 hexadecimal digits in line 1"), "{told}");
    assert!(!told.contains(&secret[2..10]), "{told}");
}

/// Not "check path and permissions", which are right.
#[test]
fn a_file_that_is_no_text_is_told_by_its_first_odd_octet() {
    let told = check_secrets(b"# key\n\x00\x01", 0o600);
    assert!(told.contains("cookie.key is not text (octet 7)"), "{told}");
    let told = check_secrets(b"e5e973e5\xff", 0o600);
    assert!(told.contains("is not text (octet 9)"), "{told}");
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("hosts");
    fs::write(&file, b"10.0.0.1 a\n\x7fELF").unwrap();
    let node = format!("dns.listen = [\"127.0.0.1\"]\ndns.hosts_files = [{file:?}]\n");
    fs::write(directory.path().join("node.toml"), node).unwrap();
    let output = check(directory.path().to_str().unwrap(), &["node.toml"], &[]);
    let told = text(&output.stderr);
    assert!(
        told.starts_with("node.toml:2:20: error: dns.hosts_files: "),
        "{told}"
    );
    assert!(told.contains("hosts is not text (octet 12)"), "{told}");
}

#[test]
fn hidden_and_foreign_files_in_conf_d_are_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    fs::create_dir(path.join("conf.d")).unwrap();
    fs::write(
        path.join("node.toml"),
        "dns.listen = [\"127.0.0.1:5300\"]\n",
    )
    .unwrap();
    fs::write(path.join("conf.d/.hidden.toml"), "broken").unwrap();
    fs::write(path.join("conf.d/10-old.toml~"), "broken").unwrap();
    fs::write(path.join("conf.d/README"), "broken").unwrap();
    let output = check(path.to_str().unwrap(), &["node.toml"], &[]);
    assert_eq!((text(&output.stderr), output.status.code()), ("", Some(0)));
}

#[test]
fn wrong_usage_exits_with_2_and_help_tells_the_exit_codes() {
    assert_eq!(check(DIRECTORY, &["a", "b"], &[]).status.code(), Some(2));
    assert_eq!(check(DIRECTORY, &["--unknown"], &[]).status.code(), Some(2));
    let help = check(DIRECTORY, &["--help"], &[]);
    assert_eq!(help.status.code(), Some(0));
    assert!(text(&help.stdout).contains("2  wrong usage"));
}
