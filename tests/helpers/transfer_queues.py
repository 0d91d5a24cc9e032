"""A transfer queue in memory, with groups that end when a test says so."""

from judgerlvr.engine.in_training.rollouts import Rollout


class StoredGroups:
    """Stands for the queue of the sampler's module and of verl's replay buffer."""

    def __init__(self):
        self.prompts, self.samples, self.scores = {}, {}, {}
        self.waits, self.refilled, self.on_refill = {}, [], lambda: None

    def stand_in(self, monkeypatch, module):
        from verl.trainer.ppo.v1 import replay_buffer

        from judgerlvr.engine.private import groups

        monkeypatch.setattr(replay_buffer, "tq", self)
        monkeypatch.setattr(groups, "transfer_queue", self)
        monkeypatch.setattr(groups.time, "sleep", lambda _: self._wake())
        monkeypatch.setattr(module, "read_rollouts", self.read)

    def add(self, names, step):
        for uid in names:
            self.prompts[uid] = {"is_prompt": True, "status": "running", "global_steps": step}

    def finish(self, **groups):
        for uid, scores in groups.items():
            self.prompts[uid]["status"] = "finished"
            self.scores[uid] = scores
            for number in range(len(scores)):
                self.samples[f"{uid}_{number}_0"] = {"min_global_steps": 0, "max_global_steps": 0}

    def later(self, **groups):
        """Groups that end once the sampler waits."""
        self.waits |= groups

    def fail(self, uid):
        self.prompts[uid]["status"] = "failure"

    def versions(self, uid, begun, ended):
        for key in self.samples:
            if key.startswith(f"{uid}_"):
                self.samples[key] = {"min_global_steps": begun, "max_global_steps": ended}

    def trained(self, batch):
        self.kv_clear(partition_id=batch.partition_id, keys=batch.keys)

    def refill(self, count):
        self.refilled.append(count)
        self.on_refill()

    def read(self, partition, uids, tags):
        return {
            uid: [Rollout(uid, n, [1], [2, 3], score, score > 0, "", 0.0, False, None) for n, score in enumerate(found)]
            for uid, found in ((uid, self.scores[uid]) for uid in uids)
        }

    def kv_list(self):
        return {"train": {**self.prompts, **self.samples}}

    def kv_clear(self, partition_id, keys):
        for key in keys:
            self.prompts.pop(key, None)
            self.samples.pop(key, None)

    def _wake(self):
        assert self.waits, "the sampler waits for groups that never end"
        groups, self.waits = self.waits, {}
        self.finish(**groups)
