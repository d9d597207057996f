from asr_kd.distill.kept_code import TopK as TopK
