//! What a shell and `man` want to know of the command line, made of its own definition.

use std::io::Write;

use clap::{Command, ValueEnum};
use clap_complete::Shell;
use clap_mangen::Man;

const NAME: &str = "pingora-proxy";
/// Of the manual: commands that run a machine's services.
const SECTION: &str = "8";
/// What the definition of the command line does not say.
const MORE: &str = r#".SH "EXIT STATUS"
0 is success, 1 a configuration or a start that failed, 2 wrong usage, and 3 an end by which something in flight was cut.
.SH SIGNALS
TERM drains and ends, a second one or INT ends at once. HUP reloads, USR1 opens the logs anew, USR2 upgrades. QUIT waits for a process that is started with \fB\-u\fR.
.SH FILES
.TP
\fIconf/proxy.yaml\fR, \fI/etc/pingora\-proxy/proxy.yaml\fR
The configuration where \fB\-c\fR names none: the first of them that exists.
.TP
\fI$RUNTIME_DIRECTORY\fR, \fI/run/pingora\-proxy\fR for root, \fI$XDG_RUNTIME_DIR/pingora\-proxy\fR for others
The pid file, the control socket, the key of sticky cookies, and what an operator said of servers.
"#;

/// Prints the completions for a shell.
pub fn completions(mut command: Command, shell: Shell) -> Result<(), String> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, NAME, &mut script);
    super::out::print(&corrected(&String::from_utf8_lossy(&script), shell))
}

/// The script without the errors of clap_complete 4.6.
fn corrected(script: &str, shell: Shell) -> String {
    match shell {
        // It takes the hyphen of the program's name for the end of a subcommand in one of two
        // places, and completes none behind it.
        Shell::Bash => script.replace("pingora__subcmd__proxy", "pingora__proxy"),
        // An option whose value is missing yet counts as the end of all options, and arguments have
        // no values.
        Shell::Fish => {
            let shells: Vec<String> = Shell::value_variants().iter().map(ToString::to_string).collect();
            let condition = "__fish_pingora_proxy_using_subcommand completions";
            let values = format!("complete -c {NAME} -n \"{condition}\" -f -a \"{}\"\n", shells.join(" "));
            script.replacen("\n    or return\n", "\n    or return 0\n", 1) + &values
        }
        _ => script.to_owned(),
    }
}

/// Prints the manual page: one page, subcommands included.
pub fn man(command: Command) -> Result<(), String> {
    let mut page = Vec::new();
    write_page(&mut page, command).map_err(|e| format!("error: {e}"))?;
    super::out::print(&String::from_utf8_lossy(&page))
}

fn write_page(page: &mut Vec<u8>, mut command: Command) -> std::io::Result<()> {
    // What clap adds itself, as the subcommand `help`, is added now.
    command.build();
    let man = Man::new(command.clone()).section(SECTION).manual(NAME);
    man.render_title(page)?;
    man.render_name_section(page)?;
    man.render_synopsis_section(page)?;
    man.render_description_section(page)?;
    man.render_options_section(page)?;
    writeln!(page, ".SH SUBCOMMANDS")?;
    command
        .get_subcommands_mut()
        .filter(|sub| sub.get_name() != "help")
        .try_for_each(|sub| write_subcommand(page, sub))?;
    page.write_all(MORE.as_bytes())
}

fn write_subcommand(page: &mut Vec<u8>, command: &mut Command) -> std::io::Result<()> {
    let usage = command.render_usage().to_string();
    let usage = usage.trim_start_matches("Usage: ").replace('-', r"\-");
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    writeln!(page, ".SS \"{usage}\"\n{}.", about.replace('-', r"\-"))?;
    let own = Command::new(NAME)
        .disable_help_flag(true)
        .args(command.get_arguments().filter(|argument| !argument.is_global_set() && argument.get_id() != "help"));
    let mut options = Vec::new();
    Man::new(own).render_options_section(&mut options)?;
    // The section's heading, which this is not.
    let options = String::from_utf8_lossy(&options);
    writeln!(page, "{}", options.replacen(".SH OPTIONS", "", 1).trim())?;
    command.get_subcommands_mut().filter(|sub| sub.get_name() != "help").try_for_each(|sub| write_subcommand(page, sub))
}
