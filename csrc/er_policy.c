/* er_policy.c - from scores to a label: threshold, k of n votes, hold.
 *
 * vote:  the first greatest score; abstain if it is below its class's threshold (0: none asked, as
 *        decision values and minus distances may be negative).
 * label: the class with at least k of the last n votes (most votes; equal: voted for last), else
 *        abstain. A label stays at least `hold` windows before another or abstain replaces it;
 *        abstain itself is replaced at once.
 */
#include <string.h>

#include "er_internal.h"

int er_policy_ok(const er_policy *p)
{
    if (!p || p->n_classes < 1 || p->n_classes > ER_MAX_CLASSES || p->n < 1 ||
        p->n > ER_MAX_VOTES || p->k < 1 || p->k > p->n)
        return 0;
    for (uint32_t c = 0; c < p->n_classes; c++)
        if (p->threshold_ppm[c] > 1000000) return 0;
    return 1;
}

void er_votes_reset(er_votes *v)
{
    memset(v, 0, sizeof *v);
    v->label = ER_ABSTAIN;
}

static int is_label(int32_t label, const er_policy *p)
{
    return label >= ER_ABSTAIN && label < (int32_t)p->n_classes;
}

int er_votes_ok(const er_votes *v, const er_policy *p)
{
    if (v->count > p->n || v->reserved != 0 || v->age > p->hold || !is_label(v->label, p)) return 0;
    for (uint32_t i = 0; i < v->count; i++)
        if (!is_label(v->vote[i], p)) return 0;
    return 1;
}

int er_policy_vote(const er_policy *p, const double *scores, int32_t *vote, float *margin)
{
    uint32_t best = 0;
    *vote = ER_ABSTAIN;
    *margin = 0.0f;
    for (uint32_t c = 0; c < p->n_classes; c++) {
        if (scores[c] - scores[c] != 0.0) return 0;
        if (scores[c] > scores[best]) best = c;
    }
    double second = p->n_classes > 1 ? scores[best == 0] : 0.0;
    for (uint32_t c = 0; c < p->n_classes; c++)
        if (c != best && scores[c] > second) second = scores[c];
    *margin = scores[best] > second ? (float)(scores[best] - second) : 0.0f;
    const uint32_t least = p->threshold_ppm[best];
    if (least == 0 || scores[best] * 1e6 >= (double)least) *vote = (int32_t)best;
    return 1;
}

/* Class with at least k of the votes; the first to reach the greatest count, newest first, wins a
 * tie. */
static int32_t winner(const er_policy *p, const er_votes *v)
{
    int32_t best = ER_ABSTAIN;
    uint32_t most = 0;
    for (uint32_t i = 0; i < v->count; i++) {
        uint32_t count = 0;
        for (uint32_t j = 0; j < v->count; j++) count += v->vote[j] == v->vote[i];
        if (v->vote[i] == ER_ABSTAIN || count <= most || count < p->k) continue;
        most = count;
        best = v->vote[i];
    }
    return best;
}

int32_t er_policy_label(const er_policy *p, er_votes *v, int32_t vote)
{
    memmove(v->vote + 1, v->vote, sizeof v->vote - 1);
    v->vote[0] = (int8_t)vote;
    if (v->count < p->n) v->count++;
    const int32_t next = winner(p, v);
    const int may_go = v->label == ER_ABSTAIN || v->age >= p->hold;
    if (next != v->label && may_go) {
        v->label = next;
        v->age = 0;
    }
    if (v->age < p->hold) v->age++;
    return v->label;
}
