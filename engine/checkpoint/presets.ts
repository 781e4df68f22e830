/** The shipped configurations, as their `config.json` has them (text part; spec section 1). Values that the files leave out are left out. */
const shared = {
  model_type: "llama4_text",
  hidden_size: 5120,
  num_hidden_layers: 48,
  num_attention_heads: 40,
  num_key_value_heads: 8,
  head_dim: 128,
  intermediate_size: 8192,
  intermediate_size_mlp: 16384,
  num_experts_per_tok: 1,
  attention_chunk_size: 8192,
  no_rope_layers: [],
  rope_theta: 500000,
  rms_norm_eps: 1e-5,
  vocab_size: 202048,
  hidden_act: "silu",
  tie_word_embeddings: false,
  bos_token_id: 200000,
  eos_token_id: [200001, 200007, 200008],
  pad_token_id: 200018,
} as const;

export const PRESETS: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  scout: {
    ...shared,
    num_local_experts: 16,
    interleave_moe_layer_step: 1,
    use_qk_norm: true,
    rope_scaling: {
      rope_type: "llama3",
      factor: 16,
      low_freq_factor: 1,
      high_freq_factor: 1,
      original_max_position_embeddings: 8192,
    },
    max_position_embeddings: 10485760,
  },
  maverick: {
    ...shared,
    num_local_experts: 128,
    interleave_moe_layer_step: 2,
    use_qk_norm: false,
    rope_scaling: null,
    max_position_embeddings: 1048576,
  },
};
