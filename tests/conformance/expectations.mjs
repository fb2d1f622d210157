// Asks a LocalPuter what Puter's own client asks a Puter, and prints what came back as JSON.
// Takes PUTER_API_BASE and PUTER_AUTH_TOKEN from the environment.

import { createRequire } from 'node:module';
import { outside } from './loopback.mjs';

const require = createRequire(import.meta.url);
const { init } = require('@heyputer/puter.js/src/init.cjs');
const puter = init(process.env.PUTER_AUTH_TOKEN);
const { ai } = puter;

const PNG = 'data:image/png;base64,iVBORw0KGgo=';
const WAV = 'data:audio/wav;base64,UklGRg==';

const collected = async (stream) => {
    const parts = [];
    for await (const part of stream) parts.push(part);
    return parts;
};

const questions = {
    chat: async () => String(await ai.chat('What is 6 times 7?', { model: 'gpt-5-nano' })),
    claude: async () =>
        (await ai.chat('What is 6 times 7?', { model: 'claude-haiku-4-5' })).message.content,
    conversation: async () =>
        String(await ai.chat([
            { role: 'user', content: 'My name is Ada.' },
            { role: 'assistant', content: 'Hello Ada.' },
            { role: 'user', content: 'What is my name?' },
        ], { model: 'gpt-5-nano' })),
    picture_in_chat: async () => String(await ai.chat('What is this?', PNG, { model: 'gpt-4.1' })),
    stream: async () => collected(await ai.chat('What is 6 times 7?', {
        model: 'gpt-5-nano', stream: true,
    })),
    unknown_model: () => ai.chat('Hi', { model: 'no-such-model' }),
    models: async () => (await ai.listModels()).length,
    models_of_claude: async () =>
        [...new Set((await ai.listModels('claude')).map((model) => model.provider))],
    providers: () => ai.listModelProviders(),
    txt2img_test: async () =>
        (await ai.txt2img('a cat', { model: 'gpt-image-1-mini', test_mode: true })).src,
    txt2img: async () => (await ai.txt2img('a cat', { model: 'gpt-image-1-mini' })).src,
    txt2img_without_model: () => ai.txt2img('a cat', true),
    img2txt_test: () => ai.img2txt(PNG, true),
    txt2speech_test: async () => (await ai.txt2speech('Hello', true)).src,
    txt2speech: async () => (await ai.txt2speech('Hello', { provider: 'openai' })).src,
    voices: async () => (await ai.txt2speech.listVoices({ provider: 'openai' })).length,
    engines: async () => (await ai.txt2speech.listEngines('openai')).map((engine) => engine.id),
    speech2txt_test: () => ai.speech2txt(WAV, true),
    speech2txt: async () => (await ai.speech2txt({ audio: WAV })).text,
    user: async () => (await puter.auth.getUser()).username,
    usage: async () => Object.keys(await puter.auth.getMonthlyUsage()),
    kv: async () => [
        await puter.kv.set('a', { b: 1 }), await puter.kv.get('a'),
        await puter.kv.incr('n'), await puter.kv.del('a'), await puter.kv.get('a'),
    ],
    files: async () => {
        const path = '/alice/Documents/note.txt';
        const { size } = await puter.fs.stat(path);
        return [size, await (await puter.fs.read(path)).text()];
    },
    outside: () => fetch('http://192.0.2.1/'), // the guard of loopback.mjs works
};

const answers = {};
for (const [name, ask] of Object.entries(questions)) {
    try {
        answers[name] = await ask();
    } catch (error) {
        answers[name] = { error: error?.message ?? String(error) };
    }
}
console.log(JSON.stringify({ answers, outside }));
process.exit(0); // puter.js keeps timers
