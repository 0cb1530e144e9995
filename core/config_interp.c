/* Which interpreters have a GIL of their own. */
#include "config.h"

#include <apr_hash.h>
#include <apr_strings.h>

#include "py_preflight.h"

/* Each takes some 10 MB, and a thread state for each thread that was in it. */
#define MOST_MEMBERS 256

int mp_members_of(const mp_dir_config *config, const char *name)
{
    const apr_hash_t *gils = mp_process_config_get()->gils;
    const mp_gil *gil = &config->gil;

    if (gil->own <= 0 && !gils) {
        return 0;
    }
    if (gils) {
        const mp_gil *named = apr_hash_get((apr_hash_t *)gils, name, APR_HASH_KEY_STRING);
        gil = named ? named : gil;
    }
    if (gil->own <= 0 || !strcmp(name, MP_MAIN_INTERPRETER)) {
        return 0;
    }
    return gil->members ? gil->members : 1;
}

mp_gil mp_merge_gil(mp_gil base, mp_gil add)
{
    if (add.own && !add.members && base.own > 0) {
        add.members = base.members; /* Own says nothing against a pool */
    }
    return add;
}

static const char *refuse_main(cmd_parms *cmd, const char *name)
{
    if (!name || strcmp(name, MP_MAIN_INTERPRETER) != 0) {
        return NULL;
    }
    return apr_psprintf(cmd->pool,
                        "%s: the main interpreter has the main GIL, and is one: give another "
                        "interpreter a GIL of its own, and choose it with PythonInterpreter",
                        cmd->cmd->name);
}

const char *mp_set_interpreter(cmd_parms *cmd, void *configv, const char *name)
{
    mp_dir_config *config = configv;
    const char *error = mp_check_override(cmd);

    if (error) {
        return error;
    }
    config->interpreter = name;
    return config->gil.own > 0 ? refuse_main(cmd, name) : NULL;
}

/* What a directive is about: the interpreter named, or those of this server. Both
 * directives may stand for it, but must not contradict each other. */
static const char *set(cmd_parms *cmd, mp_dir_config *config, const char *name, mp_gil given)
{
    mp_process_config *process = mp_process_config_get();
    mp_gil *gil = &config->gil;
    const char *error = NULL;

    if (given.own) {
        error = mp_own_gil_error(cmd->pool, cmd->cmd->name);
        error = error ? error : refuse_main(cmd, name ? name : config->interpreter);
    }
    if (error) {
        return error;
    }
    if (name) {
        process->gils = process->gils ? process->gils : apr_hash_make(cmd->pool);
        gil = apr_hash_get(process->gils, name, APR_HASH_KEY_STRING);
        if (!gil) {
            gil = apr_pcalloc(cmd->pool, sizeof(*gil));
            gil->own = -1;
            apr_hash_set(process->gils, name, APR_HASH_KEY_STRING, gil);
        }
    }
    if ((given.members && gil->own == 0) || (!given.own && gil->members)) {
        return apr_psprintf(cmd->pool,
                            "%s: the interpreters of a PythonInterpPool have a GIL each: leave "
                            "out either it or 'PythonInterpGIL Shared'",
                            cmd->cmd->name);
    }
    gil->own = given.own;
    gil->members = given.members ? given.members : gil->members;
    return NULL;
}

const char *mp_set_interp_gil(cmd_parms *cmd, void *config, const char *word, const char *name)
{
    mp_gil given = {.own = !ap_cstr_casecmp(word, "Own")};

    if (!given.own && ap_cstr_casecmp(word, "Shared") != 0) {
        return apr_psprintf(cmd->pool,
                            "PythonInterpGIL: '%s' must be Shared (the main GIL) or Own (one for "
                            "each interpreter)",
                            word);
    }
    return set(cmd, config, name, given);
}

const char *mp_set_interp_pool(cmd_parms *cmd, void *config, const char *number, const char *name)
{
    char *end;
    apr_int64_t members = apr_strtoi64(number, &end, 10);

    if (*end || end == number || members < 1 || members > MOST_MEMBERS) {
        return apr_psprintf(cmd->pool,
                            "PythonInterpPool: '%s' must be a number of interpreters, from 1 to "
                            "%d; about one for each processor is useful",
                            number, MOST_MEMBERS);
    }
    return set(cmd, config, name, (mp_gil){.own = 1, .members = (short)members});
}
