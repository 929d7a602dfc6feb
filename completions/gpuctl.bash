# Written by completions/generate.py: change the command line, not this file.
_gpuctl() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} command= word words=
    for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
        case "$command $word" in ' doctor'|' check'|' matrix'|' recommend'|' image'|' install-runtime'|' uninstall-runtime'|' rollback'|' history'|' smoke'|' data'|'data show'|'data verify'|'data use') command="${command:+$command }$word" ;; esac
    done
    case $prev in
        --requirements|--hosts|--svg|--config|--key-file|--config|--config) mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
        --brand|--config|--cuda|--driver|--driver-cuda|--engine|--evaluator|--flavour|--framework|--gpu|--gpus|--hosts|--image|--key-file|--name|--only|--os|--pull-timeout|--repo-url|--require|--requirements|--runtime|--runtime-path|--svg|--timeout|--version) COMPREPLY=(); return ;;
    esac
    case $command in
        '') words='--version --debug -h --help doctor check matrix recommend image install-runtime uninstall-runtime rollback history smoke data' ;;
        'doctor') words='--only --json -v --verbose --strict -h --help' ;;
        'check') words='--cuda --image --require --framework --requirements --hosts --driver --driver-cuda --gpu --brand --evaluator --offline --json --strict -h --help' ;;
        'matrix') words='--driver --gpu --cuda --json --csv --svg -h --help' ;;
        'recommend') words='--cuda --gpu --driver --json -h --help' ;;
        'image') words='--cuda --flavour --cudnn --os --driver --gpu --all --json -h --help' ;;
        'install-runtime') words='--engine --set-default --name --runtime-path --config --cdi --force --no-reload --restart --timeout --install --version --repo-url --key-file --dry-run --json -h --help' ;;
        'uninstall-runtime') words='--engine --config --no-reload --timeout --dry-run --json -h --help' ;;
        'rollback') words='--config --force --no-reload --timeout --dry-run --json -h --help' ;;
        'history') words='--json -h --help' ;;
        'smoke') words='--gpus --image --runtime --timeout --pull-timeout --deep --host --dry-run --json -v --verbose --strict -h --help' ;;
        'data') words='-h --help show verify use' ;;
        'data show') words='--json -v --verbose -h --help' ;;
        'data verify') words='--json -h --help' ;;
        'data use') words='--bundled --dry-run --json -h --help' ;;
    esac
    case $command in 'data verify'|'data use')
        [[ $cur == -* ]] || { mapfile -t COMPREPLY < <(compgen -d -- "$cur"); return; } ;;
    esac
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
}
complete -F _gpuctl gpuctl
