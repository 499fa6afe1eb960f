"""The words of codes: two lists of 256. Each word is one byte, and one in the wrong place is noticed.

Chosen by hand: common English nouns that most people can spell after hearing them. Within both lists together
no two are one letter apart, and within a list no two begin with the same four letters.
"""

from __future__ import annotations

from typing import Final

_FIRST: Final = """
    acorn admiral alarm album almond amber anchor apple apron arcade arrow artist aspen atlas attic autumn
    avocado axle badger bagel ballad bamboo banjo barrel basket beacon beaver bedrock beetle bicycle birch
    biscuit blanket blizzard blossom bonfire bottle boulder bracelet breeze brick bridge bronze brush
    bubble bucket buffalo burrow button cabin cactus camera canal candle canyon carbon cargo carpet carrot
    castle catfish cavern cedar cello chalk cheese cherry chimney cinema circle citrus clarinet clay
    clover cobalt coconut comet compass copper coral cotton cradle crater crayon crimson crossover crystal
    curtain cymbal daisy dancer daylight desert diamond dinner doctor dolphin domino donkey dragon drum
    dusk dynamo eagle earth easel echo eclipse elbow elm emerald engine envelope escape fabric falcon
    ferry figure flamingo flint flute forest fossil fox frost fudge furnace galaxy gallop garden garlic
    gazelle geyser ginger giraffe glacier glove goblet goose granite grape gravel guitar gypsum hammer
    harbor harvest hazel hedge helmet heron hickory hiking honey horizon hornet husky iceberg igloo indigo
    insect island ivory jacket jaguar jasmine jelly jigsaw jockey journal jungle juniper jury kayak kettle
    kimono kitchen kiwi knuckle koala ladder lagoon lantern laurel lava leather lemon leopard lilac
    lobster lotus lumber lunar magnet mango maple marble market meadow mercury mirror mitten monsoon
    mosaic mountain muffin museum mustard napkin needle nickel nomad noodle nougat nugget oasis oatmeal
    ocean octopus olive onion opal orbit orchid osprey otter oxygen palace panda papaya parsley pebble
    pelican pepper piano picnic pigeon pillow pirate planet plum poppy prairie pretzel pumpkin pyramid
    quartz quiver rabbit radish raven ribbon river robin rocket ruby
"""

_SECOND: Final = """
    abacus academy acrobat airport alphabet aluminum ambulance antelope aquarium armadillo asteroid
    athlete avalanche balcony ballroom banana barnacle bazaar blueprint boomerang broccoli butterfly
    cabbage calendar camel candidate caravan carnival cartwheel cathedral celery century chameleon
    charcoal chestnut chocolate cinnamon clockwork cloudburst coffee concert cookie corridor cougar cowboy
    crocodile crossbow cucumber cyclone dandelion daughter decimal delta denim diagram diesel dinosaur
    drizzle duckling dungeon eggplant elephant elevator engraver equator evening everest explorer eyebrow
    factory fanfare festival fireplace flagship flowerpot folklore football fortune freckle freight
    gallery gardener gateway genius gondola gorilla grapefruit greenhouse gymnast habitat halibut hamster
    handshake harmony hatchet haystack headline hedgehog helium hexagon holiday horseshoe hurricane hyena
    inkwell ironwood jackpot jamboree javelin jellyfish jewel jukebox jumper kangaroo kestrel keyboard
    kingdom labyrinth lacrosse landmark lavender lemonade library lifeboat lighthouse lobby locomotive
    lollipop lullaby macaroni magazine marathon marigold melody meteor midnight molecule monument morning
    motorway mulberry mushroom mystery narwhal necklace nightfall notebook nutmeg octagon omelette opera
    orange orchestra origami ostrich outlaw overcoat oyster package paddock painter pancake parachute
    passenger patchwork peacock pendulum penguin peppermint photograph pineapple pistachio platinum polka
    porcupine potato professor propeller puzzle python quarry quicksand quilt raccoon radio rainbow
    raspberry recipe reindeer republic riddle rosemary roulette runway saddle saffron sandwich sapphire
    satellite saxophone seagull seashell shadow shepherd silver skeleton snowflake spaghetti sparrow
    spectrum spinach squirrel stadium starfish sunflower swallow symphony syrup tambourine tangerine
    tapestry telescope thunder tiger tornado tractor treasure triangle trumpet tugboat turbine turquoise
    twilight typhoon umbrella unicorn uniform universe vanilla velvet victory village vinegar violin
    volcano voyager waffle walnut waterfall weekend whisper windmill wizard woodland xylophone zigzag
"""

FIRST: Final = tuple(_FIRST.split())
SECOND: Final = tuple(_SECOND.split())
