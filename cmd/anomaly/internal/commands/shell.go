package commands

import (
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"
)

func versionCommand() *cli.Command {
	return &cli.Command{
		Name:      "version",
		Usage:     "print the version, as --version does",
		ArgsUsage: " ",
		Action: func(c *cli.Context) error {
			if c.Args().Present() {
				return usagef("version takes no arguments, got %q", c.Args().Slice())
			}
			cli.ShowVersion(c)
			return nil
		},
	}
}

// completes, behind the other arguments, has the cli package print what could come
// there. The scripts below call the command with it.
const completes = "--generate-bash-completion"

var completions = map[string]string{
	"bash": `# anomaly completion bash >/etc/bash_completion.d/anomaly, or: source <(anomaly completion bash)
_anomaly() {
  local cur="${COMP_WORDS[COMP_CWORD]}" words=("${COMP_WORDS[@]:0:COMP_CWORD}")
  [[ "$cur" == -* ]] && words+=("$cur")
  local IFS=$'\n'
  COMPREPLY=($(compgen -W "$("${words[@]}" --generate-bash-completion 2>/dev/null)" -- "$cur"))
}
complete -o bashdefault -o default -F _anomaly anomaly
`,
	"zsh": `#compdef anomaly
# anomaly completion zsh >"${fpath[1]}/_anomaly"
_anomaly() {
  local -a opts asked
  asked=(${words[@]:0:$((CURRENT-1))})
  [[ "${words[CURRENT]}" == -* ]] && asked+=("${words[CURRENT]}")
  opts=("${(@f)$(_CLI_ZSH_AUTOCOMPLETE_HACK=1 ${asked[@]} --generate-bash-completion 2>/dev/null)}")
  if [[ -n "${opts[1]}" ]]; then
    _describe values opts
  else
    _files
  fi
}
compdef _anomaly anomaly
`,
	"fish": `# anomaly completion fish >~/.config/fish/completions/anomaly.fish
function __fish_anomaly
  set -l asked (commandline -opc)
  set -l word (commandline -ct)
  string match -q -- '-*' $word; and set -a asked $word
  $asked --generate-bash-completion 2>/dev/null
end
complete -c anomaly -a '(__fish_anomaly)'
`,
	"powershell": `# anomaly completion powershell >>$PROFILE
Register-ArgumentCompleter -Native -CommandName anomaly -ScriptBlock {
  param($word, $ast, $position)
  $asked = @($ast.CommandElements | Select-Object -Skip 1 | ForEach-Object { "$_" })
  if ($word -and -not "$word".StartsWith('-')) { $asked = @($asked | Select-Object -SkipLast 1) }
  & anomaly @asked --generate-bash-completion 2>$null | Where-Object { $_ -like "$word*" } |
    ForEach-Object { [System.Management.Automation.CompletionResult]::new($_, $_, 'ParameterValue', $_) }
}
`,
}

func completionCommand() *cli.Command {
	shells := []string{"bash", "zsh", "fish", "powershell"}
	return &cli.Command{
		Name:      "completion",
		Usage:     "print a script that completes commands and flags in a shell",
		ArgsUsage: strings.Join(shells, "|"),
		Description: `Load it where your shell does: bash with source <(anomaly completion bash), zsh
from a file _anomaly in fpath, fish from ~/.config/fish/completions/anomaly.fish,
PowerShell from $PROFILE.`,
		Action: func(c *cli.Context) error {
			script := completions[c.Args().First()]
			if script == "" || c.NArg() != 1 {
				return usagef("completion takes one of %s, got %q", strings.Join(shells, ", "), c.Args().Slice())
			}
			_, err := fmt.Fprint(c.App.Writer, script)
			return err
		},
	}
}
