# Written by completions/generate.py: change the command line, not this file.
_gpuctl() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} command= word words=
    for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
        case "$command $word" in ' doctor'|' explain'|' check'|' matrix'|' recommend'|' image'|' install-runtime'|' uninstall-runtime'|' rollback'|' history'|' smoke'|' collect'|' diff'|' data'|'data show'|'data verify'|'data use'|'data refresh') command="${command:+$command }$word" ;; esac
    done
    case $prev in
        --from|-f|--file|--requirements|--hosts|--smi|--from|--from|--svg|--from|--from|--config|--key-file|--config|--config|--from|--from|-o|--output) mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
        --format) mapfile -t COMPREPLY < <(compgen -W 'text json junit prometheus nagios markdown' -- "$cur"); return ;;
        --evaluator) mapfile -t COMPREPLY < <(compgen -W 'libnvidia-container go' -- "$cur"); return ;;
        --flavour) mapfile -t COMPREPLY < <(compgen -W 'base runtime devel' -- "$cur"); return ;;
        --engine) mapfile -t COMPREPLY < <(compgen -W 'docker containerd crio podman' -- "$cur"); return ;;
        --brand|--config|--cuda|--driver|--driver-cuda|--engine|--evaluator|--file|--flavour|--format|--framework|--from|--gpu|--gpus|--hosts|--image|--key-file|--name|--only|--os|--output|--pull-timeout|--repo-url|--require|--requirements|--runtime|--runtime-path|--skip|--smi|--svg|--timeout|--until-ready|--version|-f|-o) COMPREPLY=(); return ;;
    esac
    case $command in
        '') words='-V --version --debug -h --help doctor explain check matrix recommend image install-runtime uninstall-runtime rollback history smoke collect diff data' ;;
        'doctor') words='--only --skip --watch --from --json --format -o --output -v --verbose -q --quiet --until-ready --strict --no-strict --fix --dry-run --yes -h --help' ;;
        'explain') words='-f --file --no-probe --list --json -v --verbose -h --help' ;;
        'check') words='--cuda --image --require --framework --requirements --hosts --smi --driver --driver-cuda --gpu --brand --evaluator --offline --from --json --format -o --output --strict --no-strict -h --help' ;;
        'matrix') words='--driver --gpu --cuda --from --json --csv --svg -h --help' ;;
        'recommend') words='--cuda --gpu --driver --from --json -h --help' ;;
        'image') words='--cuda --flavour --cudnn --os --driver --gpu --all --from --json -h --help' ;;
        'install-runtime') words='--engine --set-default --name --runtime-path --config --cdi --force --no-reload --restart --timeout --install --version --repo-url --key-file --dry-run --json -h --help' ;;
        'uninstall-runtime') words='--engine --config --no-reload --timeout --dry-run --json -h --help' ;;
        'rollback') words='--config --force --no-reload --timeout --dry-run --json -h --help' ;;
        'history') words='--from --json -h --help' ;;
        'smoke') words='--gpus --image --runtime --engine --timeout --pull-timeout --deep --host --dry-run --from --json -v --verbose --strict -h --help' ;;
        'collect') words='-o --output --anonymise --json -h --help' ;;
        'diff') words='--json -h --help' ;;
        'data') words='-h --help show verify use refresh' ;;
        'data show') words='--json -v --verbose -h --help' ;;
        'data verify') words='--json -h --help' ;;
        'data use') words='--bundled --dry-run --json -h --help' ;;
        'data refresh') words='--dry-run --json -h --help' ;;
    esac
    case $command in
        'diff') [[ $cur == -* ]] || { mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return; } ;;
        'data verify') [[ $cur == -* ]] || { mapfile -t COMPREPLY < <(compgen -d -- "$cur"); return; } ;;
        'data use') [[ $cur == -* ]] || { mapfile -t COMPREPLY < <(compgen -d -- "$cur"); return; } ;;
    esac
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
}
complete -F _gpuctl gpuctl
