// SPDX-License-Identifier: MIT
// migrun check POLICY ...: the mistakes of policies, without running a step.
#include "cli/commands.h"
#include "cli/output.h"
#include "lua/policy.h"

static int tell(const char *given, const struct policy *policy, bool json)
{
    auto_buf struct buf text = {0};
    size_t i;
    const json_t *problem;
    if (json) {
        auto_json json_t *line = json_pack("{s:o, s:O}", "policy", json_text(given), "problems",
                                           policy->problems);
        auto_free char *shown = json_line(line);
        buf_printf(&text, "%s\n", shown);
        return output_print(text.data);
    }
    json_array_foreach(policy->problems, i, problem) {
        auto_buf struct buf one = {0};
        policy_put_problem(&one, problem);
        buf_printf(&text, "%s\n", one.data);
    }
    if (!i)
        buf_printf(&text, "%s: no mistake was found\n", policy->path);
    return output_shown(text.data);
}

int check_run(struct options *options, struct error *err)
{
    int status = 0;
    for (size_t i = 0; i < options->n_arguments; i++) {
        struct policy policy;
        json_t *about = NULL;
        int rc = policy_inspect(&policy, options->arguments[i], &about, err);
        json_decref(about);
        bool interrupted = rc < 0 && err->domain == ERR_INTERRUPTED;
        if (!interrupted && (tell(options->arguments[i], &policy, options->json) != 0 || rc < 0))
            status = 1;
        policy_free(&policy);
        if (interrupted)
            return -1;
    }
    return status;
}
