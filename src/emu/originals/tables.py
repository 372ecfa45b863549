"""How weights were named where they were first published, by diffusers' names, family by family.

A line is the beginning of diffusers' name and that of the published one; N and M stand for numbers, B for a word and P
for a kind of block. What no line begins stays as it is. Notable: the tables are guesses; what a name holds, and that it
is one, is found by diffusers' own conversion (`emu.originals.inverse`).
"""

FLUX = """
x_embedder img_in
context_embedder txt_in
time_text_embed.timestep_embedder.linear_1 time_in.in_layer
time_text_embed.timestep_embedder.linear_2 time_in.out_layer
time_text_embed.guidance_embedder.linear_1 guidance_in.in_layer
time_text_embed.guidance_embedder.linear_2 guidance_in.out_layer
time_text_embed.text_embedder.linear_1 vector_in.in_layer
time_text_embed.text_embedder.linear_2 vector_in.out_layer
transformer_blocks.N.norm1.linear double_blocks.N.img_mod.lin
transformer_blocks.N.norm1_context.linear double_blocks.N.txt_mod.lin
transformer_blocks.N.attn.to_[qkv] double_blocks.N.img_attn.qkv
transformer_blocks.N.attn.add_[qkv]_proj double_blocks.N.txt_attn.qkv
transformer_blocks.N.attn.norm_q.weight double_blocks.N.img_attn.norm.query_norm.scale
transformer_blocks.N.attn.norm_k.weight double_blocks.N.img_attn.norm.key_norm.scale
transformer_blocks.N.attn.norm_added_q.weight double_blocks.N.txt_attn.norm.query_norm.scale
transformer_blocks.N.attn.norm_added_k.weight double_blocks.N.txt_attn.norm.key_norm.scale
transformer_blocks.N.attn.to_out.0 double_blocks.N.img_attn.proj
transformer_blocks.N.attn.to_add_out double_blocks.N.txt_attn.proj
transformer_blocks.N.ff.net.0.proj double_blocks.N.img_mlp.0
transformer_blocks.N.ff.net.2 double_blocks.N.img_mlp.2
transformer_blocks.N.ff_context.net.0.proj double_blocks.N.txt_mlp.0
transformer_blocks.N.ff_context.net.2 double_blocks.N.txt_mlp.2
single_transformer_blocks.N.norm.linear single_blocks.N.modulation.lin
single_transformer_blocks.N.attn.to_[qkv] single_blocks.N.linear1
single_transformer_blocks.N.proj_mlp single_blocks.N.linear1
single_transformer_blocks.N.proj_out single_blocks.N.linear2
single_transformer_blocks.N.attn.norm_q.weight single_blocks.N.norm.query_norm.scale
single_transformer_blocks.N.attn.norm_k.weight single_blocks.N.norm.key_norm.scale
norm_out.linear final_layer.adaLN_modulation.1
proj_out final_layer.linear
"""

CHROMA = f"""{FLUX}
distilled_guidance_layer.layers.N.linear_1 distilled_guidance_layer.layers.N.in_layer
distilled_guidance_layer.layers.N.linear_2 distilled_guidance_layer.layers.N.out_layer
distilled_guidance_layer.norms.N.weight distilled_guidance_layer.norms.N.scale
"""

FLUX2 = """
x_embedder img_in
context_embedder txt_in
time_guidance_embed.timestep_embedder.linear_1 time_in.in_layer
time_guidance_embed.timestep_embedder.linear_2 time_in.out_layer
time_guidance_embed.guidance_embedder.linear_1 guidance_in.in_layer
time_guidance_embed.guidance_embedder.linear_2 guidance_in.out_layer
double_stream_modulation_img.linear double_stream_modulation_img.lin
double_stream_modulation_txt.linear double_stream_modulation_txt.lin
single_stream_modulation.linear single_stream_modulation.lin
transformer_blocks.N.attn.to_[qkv] double_blocks.N.img_attn.qkv
transformer_blocks.N.attn.add_[qkv]_proj double_blocks.N.txt_attn.qkv
transformer_blocks.N.attn.norm_q.weight double_blocks.N.img_attn.norm.query_norm.scale
transformer_blocks.N.attn.norm_k.weight double_blocks.N.img_attn.norm.key_norm.scale
transformer_blocks.N.attn.norm_added_q.weight double_blocks.N.txt_attn.norm.query_norm.scale
transformer_blocks.N.attn.norm_added_k.weight double_blocks.N.txt_attn.norm.key_norm.scale
transformer_blocks.N.attn.to_out.0 double_blocks.N.img_attn.proj
transformer_blocks.N.attn.to_add_out double_blocks.N.txt_attn.proj
transformer_blocks.N.ff.linear_in double_blocks.N.img_mlp.0
transformer_blocks.N.ff.linear_out double_blocks.N.img_mlp.2
transformer_blocks.N.ff_context.linear_in double_blocks.N.txt_mlp.0
transformer_blocks.N.ff_context.linear_out double_blocks.N.txt_mlp.2
single_transformer_blocks.N.attn.to_qkv_mlp_proj single_blocks.N.linear1
single_transformer_blocks.N.attn.to_out single_blocks.N.linear2
single_transformer_blocks.N.attn.norm_q.weight single_blocks.N.norm.query_norm.scale
single_transformer_blocks.N.attn.norm_k.weight single_blocks.N.norm.key_norm.scale
norm_out.linear final_layer.adaLN_modulation.1
proj_out final_layer.linear
"""

SD3 = """
pos_embed.pos_embed pos_embed
pos_embed.proj x_embedder.proj
time_text_embed.timestep_embedder.linear_1 t_embedder.mlp.0
time_text_embed.timestep_embedder.linear_2 t_embedder.mlp.2
time_text_embed.text_embedder.linear_1 y_embedder.mlp.0
time_text_embed.text_embedder.linear_2 y_embedder.mlp.2
transformer_blocks.N.norm1.linear joint_blocks.N.x_block.adaLN_modulation.1
transformer_blocks.N.norm1_context.linear joint_blocks.N.context_block.adaLN_modulation.1
transformer_blocks.N.attn.to_[qkv] joint_blocks.N.x_block.attn.qkv
transformer_blocks.N.attn.add_[qkv]_proj joint_blocks.N.context_block.attn.qkv
transformer_blocks.N.attn.norm_q joint_blocks.N.x_block.attn.ln_q
transformer_blocks.N.attn.norm_k joint_blocks.N.x_block.attn.ln_k
transformer_blocks.N.attn.norm_added_q joint_blocks.N.context_block.attn.ln_q
transformer_blocks.N.attn.norm_added_k joint_blocks.N.context_block.attn.ln_k
transformer_blocks.N.attn.to_out.0 joint_blocks.N.x_block.attn.proj
transformer_blocks.N.attn.to_add_out joint_blocks.N.context_block.attn.proj
transformer_blocks.N.attn2.to_[qkv] joint_blocks.N.x_block.attn2.qkv
transformer_blocks.N.attn2.norm_q joint_blocks.N.x_block.attn2.ln_q
transformer_blocks.N.attn2.norm_k joint_blocks.N.x_block.attn2.ln_k
transformer_blocks.N.attn2.to_out.0 joint_blocks.N.x_block.attn2.proj
transformer_blocks.N.ff.net.0.proj joint_blocks.N.x_block.mlp.fc1
transformer_blocks.N.ff.net.2 joint_blocks.N.x_block.mlp.fc2
transformer_blocks.N.ff_context.net.0.proj joint_blocks.N.context_block.mlp.fc1
transformer_blocks.N.ff_context.net.2 joint_blocks.N.context_block.mlp.fc2
norm_out.linear final_layer.adaLN_modulation.1
proj_out final_layer.linear
"""

Z_IMAGE = """
all_x_embedder.2-1 x_embedder
all_final_layer.2-1 final_layer
B.N.attention.to_[qkv] B.N.attention.qkv
B.N.attention.to_out.0 B.N.attention.out
B.N.attention.norm_q B.N.attention.q_norm
B.N.attention.norm_k B.N.attention.k_norm
"""

LUMINA2 = """
time_caption_embed.caption_embedder cap_embedder
time_caption_embed.timestep_embedder.linear_1 t_embedder.mlp.0
time_caption_embed.timestep_embedder.linear_2 t_embedder.mlp.2
B.N.attn.to_[qkv] B.N.attention.qkv
B.N.attn.to_out.0 B.N.attention.out
B.N.attn.norm_q B.N.attention.q_norm
B.N.attn.norm_k B.N.attention.k_norm
B.N.feed_forward.linear_1 B.N.feed_forward.w1
B.N.feed_forward.linear_2 B.N.feed_forward.w2
B.N.feed_forward.linear_3 B.N.feed_forward.w3
B.N.norm1.linear B.N.adaLN_modulation.1
B.N.norm1.norm B.N.attention_norm1
B.N.norm1 B.N.attention_norm1
B.N.norm2 B.N.attention_norm2
norm_out.linear_1 final_layer.adaLN_modulation.1
norm_out.linear_2 final_layer.linear
"""

SANA = """
patch_embed.proj x_embedder.proj
time_embed.emb.timestep_embedder.linear_1 t_embedder.mlp.0
time_embed.emb.timestep_embedder.linear_2 t_embedder.mlp.2
time_embed.linear t_block.1
caption_projection.linear_1 y_embedder.y_proj.fc1
caption_projection.linear_2 y_embedder.y_proj.fc2
caption_norm attention_y_norm
transformer_blocks.N.attn1.to_[qkv] blocks.N.attn.qkv
transformer_blocks.N.attn1.to_out.0 blocks.N.attn.proj
transformer_blocks.N.attn2.to_q blocks.N.cross_attn.q_linear
transformer_blocks.N.attn2.to_[kv] blocks.N.cross_attn.kv_linear
transformer_blocks.N.attn2.to_out.0 blocks.N.cross_attn.proj
transformer_blocks.N.ff.conv_inverted blocks.N.mlp.inverted_conv.conv
transformer_blocks.N.ff.conv_depth blocks.N.mlp.depth_conv.conv
transformer_blocks.N.ff.conv_point blocks.N.mlp.point_conv.conv
transformer_blocks blocks
scale_shift_table final_layer.scale_shift_table
proj_out final_layer.linear
"""

AURA_FLOW = """
time_step_proj.linear_1 t_embedder.mlp.0
time_step_proj.linear_2 t_embedder.mlp.2
context_embedder cond_seq_linear
pos_embed.pos_embed positional_encoding
pos_embed.proj init_x_linear
joint_transformer_blocks.N.ff.linear_1 double_layers.N.mlpX.c_fc1
joint_transformer_blocks.N.ff.linear_2 double_layers.N.mlpX.c_fc2
joint_transformer_blocks.N.ff.out_projection double_layers.N.mlpX.c_proj
joint_transformer_blocks.N.ff_context.linear_1 double_layers.N.mlpC.c_fc1
joint_transformer_blocks.N.ff_context.linear_2 double_layers.N.mlpC.c_fc2
joint_transformer_blocks.N.ff_context.out_projection double_layers.N.mlpC.c_proj
joint_transformer_blocks.N.norm1.linear double_layers.N.modX.1
joint_transformer_blocks.N.norm1_context.linear double_layers.N.modC.1
joint_transformer_blocks.N.attn.to_q double_layers.N.attn.w2q
joint_transformer_blocks.N.attn.to_k double_layers.N.attn.w2k
joint_transformer_blocks.N.attn.to_v double_layers.N.attn.w2v
joint_transformer_blocks.N.attn.to_out.0 double_layers.N.attn.w2o
joint_transformer_blocks.N.attn.add_q_proj double_layers.N.attn.w1q
joint_transformer_blocks.N.attn.add_k_proj double_layers.N.attn.w1k
joint_transformer_blocks.N.attn.add_v_proj double_layers.N.attn.w1v
joint_transformer_blocks.N.attn.to_add_out double_layers.N.attn.w1o
single_transformer_blocks.N.ff.linear_1 single_layers.N.mlp.c_fc1
single_transformer_blocks.N.ff.linear_2 single_layers.N.mlp.c_fc2
single_transformer_blocks.N.ff.out_projection single_layers.N.mlp.c_proj
single_transformer_blocks.N.norm1.linear single_layers.N.modCX.1
single_transformer_blocks.N.attn.to_q single_layers.N.attn.w1q
single_transformer_blocks.N.attn.to_k single_layers.N.attn.w1k
single_transformer_blocks.N.attn.to_v single_layers.N.attn.w1v
single_transformer_blocks.N.attn.to_out.0 single_layers.N.attn.w1o
norm_out.linear modF.1
proj_out final_linear
"""

KREA2 = """
img_in first
time_embed.linear_1 tmlp.0
time_embed.linear_2 tmlp.2
time_mod_proj tproj.1
txt_in.norm.weight txtmlp.0.scale
txt_in.linear_1 txtmlp.1
txt_in.linear_2 txtmlp.3
final_layer.linear last.linear
final_layer.norm.weight last.norm.scale
final_layer.scale_shift_table last.modulation.lin
P.N.attn.to_q P.N.attn.wq
P.N.attn.to_k P.N.attn.wk
P.N.attn.to_v P.N.attn.wv
P.N.attn.to_out.0 P.N.attn.wo
P.N.attn.to_gate P.N.attn.gate
P.N.attn.norm_q.weight P.N.attn.qknorm.qnorm.scale
P.N.attn.norm_k.weight P.N.attn.qknorm.knorm.scale
P.N.ff P.N.mlp
P.N.norm1.weight P.N.prenorm.scale
P.N.norm2.weight P.N.postnorm.scale
P.N.scale_shift_table P.N.mod.lin
transformer_blocks blocks
text_fusion txtfusion
"""

QWEN_IMAGE_21 = """
P.N.img_mlp.gate_layer P.N.img_mlp.gate_up
P.N.img_mlp.proj P.N.img_mlp.gate_up
"""

AUTOENCODER = """
encoder.down_blocks.N.resnets.M encoder.down.N.block.M
encoder.down_blocks.N.downsamplers.0 encoder.down.N.downsample
decoder.up_blocks.N.resnets.M decoder.up.N.block.M
decoder.up_blocks.N.upsamplers.0 decoder.up.N.upsample
B.mid_block.resnets.0 B.mid.block_1
B.mid_block.resnets.1 B.mid.block_2
B.mid_block.attentions.0.group_norm B.mid.attn_1.norm
B.mid_block.attentions.0.to_q B.mid.attn_1.q
B.mid_block.attentions.0.to_k B.mid.attn_1.k
B.mid_block.attentions.0.to_v B.mid.attn_1.v
B.mid_block.attentions.0.to_out.0 B.mid.attn_1.proj_out
B.conv_norm_out B.norm_out
"""

OPEN_CLIP = """
text_model.embeddings.token_embedding token_embedding
text_model.embeddings.position_embedding.weight positional_embedding
text_model.final_layer_norm ln_final
text_projection.weight text_projection
text_model.encoder.layers.N.self_attn.[qkv]_proj.weight transformer.resblocks.N.attn.in_proj_weight
text_model.encoder.layers.N.self_attn.[qkv]_proj.bias transformer.resblocks.N.attn.in_proj_bias
text_model.encoder.layers.N.self_attn.out_proj transformer.resblocks.N.attn.out_proj
text_model.encoder.layers.N.layer_norm1 transformer.resblocks.N.ln_1
text_model.encoder.layers.N.layer_norm2 transformer.resblocks.N.ln_2
text_model.encoder.layers.N.mlp.fc1 transformer.resblocks.N.mlp.c_fc
text_model.encoder.layers.N.mlp.fc2 transformer.resblocks.N.mlp.c_proj
"""
