"""The completion scripts, where click's own don't do what is needed.

click's script for bash offers either words or files, not both; that for zsh needs a compinit that
a new account doesn't have; in zsh and fish ``--option=value`` is taken for one word.
"""

from __future__ import annotations

from click.shell_completion import BashComplete, FishComplete, ShellComplete, ZshComplete

_BASH = """\
%(complete_func)s() {
    local cur='' names='' type value response words=() index
    # To bash the = of --option=value is a word; to remusnet the value is the option's next one.
    for ((index = 0; index <= COMP_CWORD; index++)); do
        cur=${COMP_WORDS[index]}
        [[ $cur != '=' ]] || cur=
        [[ ! $cur && $index -lt $COMP_CWORD ]] || words+=("$cur")
    done
    response=$(IFS=$'\\n' && env COMP_WORDS="${words[*]}" COMP_CWORD=$((${#words[@]} - 1)) \\
        %(complete_var)s=bash_complete "${1/#\\~/$HOME}" 2>/dev/null)
    while IFS=, read -r type value; do
        case $type in
        plain) COMPREPLY+=("$value") ;;
        dir) names=-d ;;
        file) names=-f ;;
        esac
    done <<<"$response"
    [[ $names ]] || return 0
    if ((${#COMPREPLY[@]})); then
        # Words and files together.
        while IFS= read -r value; do
            [[ ! $value ]] || COMPREPLY+=("$value")
        done < <(compgen "$names" -- "$cur")
        compopt -o filenames
    elif [[ $names == -d ]]; then
        compopt -o dirnames
    else
        compopt -o default
    fi
}
complete -o nosort -F %(complete_func)s %(prog_name)s
"""

_ZSH = """\
#compdef %(prog_name)s
%(complete_func)s() {
    local -a plain described response
    local kind key help files=
    response=("${(@f)$(env COMP_WORDS="${words[*]}" COMP_CWORD=$((CURRENT-1)) \\
        %(complete_var)s=zsh_complete ${~words[1]} 2>/dev/null)}")
    # What stands before the = of an option stays.
    [[ $PREFIX != --*=* ]] || compset -P 1 '*='
    for kind key help in $response; do
        case $kind in
        plain) if [[ $help == _ ]]; then plain+=("$key"); else described+=("$key:$help"); fi ;;
        dir) files=-/ ;;
        file) files=-f ;;
        esac
    done
    (( ! $#described )) || _describe -V unsorted described
    (( ! $#plain )) || compadd -V unsorted -a plain
    [[ -z $files ]] || _path_files $files
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    %(complete_func)s "$@"
else
    # A new account has not begun its completion system yet.
    (( $+functions[compdef] )) || { autoload -Uz compinit && compinit -i }
    compdef %(complete_func)s %(prog_name)s
fi
"""

_FISH = """\
function %(complete_func)s
    set -l word (commandline -ct)
    # What stands before the = of an option stays.
    set -l option (string match -r -- '^--[^=]*=' "$word")
    set -l line (commandline -cp | string collect)
    set -l response (env %(complete_var)s=fish_complete COMP_WORDS="$line" COMP_CWORD="$word" \\
        %(prog_name)s 2>/dev/null)
    for item in $response
        set -l parts (string split -m 1 , -- $item)
        set -l value (string replace -r -- '^--[^=]*=' '' "$word")
        switch $parts[1]
            case plain
                echo "$option$parts[2]"
            case dir
                __fish_complete_directories "$value" | string replace -r '^' "$option"
            case file
                __fish_complete_path "$value" | string replace -r '^' "$option"
        end
    end
end
complete --no-files --command %(prog_name)s --arguments '(%(complete_func)s)'
"""


class _Bash(BashComplete):
    source_template = _BASH


class _Zsh(ZshComplete):
    source_template = _ZSH


class _Fish(FishComplete):
    source_template = _FISH


SHELLS: dict[str, type[ShellComplete]] = {"bash": _Bash, "zsh": _Zsh, "fish": _Fish}
"""By their names. What a script asks of remusnet is answered by click's own classes."""
